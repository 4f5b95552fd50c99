"""Failed events for people: a table of groups, a list, one event in full; or JSON lines."""

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.event import rfc3339
from flowtools.failed.grouping import Group
from flowtools.failed.record import Record
from flowtools.process.console import one_line

LONGEST = 400
"""Characters that are shown of an error in a table; `--show` and `--json` have all of it."""

PIPE_WIDTH = 200
"""Cells of a table that does not go to a terminal."""


class Screen:
    """Writes to standard output, as tables or as JSON lines.

    Raises (every method):
        ReaderGone: The reader of standard output has closed the pipe.
        FlowError: It cannot be written.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
        if not self._console.is_terminal:
            self._console.width = PIPE_WIDTH

    def groups(self, groups: Iterable[Group]) -> None:
        """Show one row for each reason."""
        if self._as_json:
            self._write(b"".join(orjson.dumps(_of_group(each)) + b"\n" for each in groups))
            return
        table = _table("count", "first", "last", "attempts", "error, as of the last one")
        for column in (table.columns[0], table.columns[3]):
            column.justify = "right"
        total = 0
        for each in groups:
            total += each.count
            cells = (_short(each.first), _short(each.last), _attempts(each), _cut(each.example))
            table.add_row(str(each.count), *map(Text, cells))
        if not total:
            self._print(Text("no failed events"))
            return
        self._print(table)

    def list(self, records: Iterable[Record]) -> None:
        """Show one line for each event; as JSON, its line as it is kept."""
        if self._as_json:
            for record in records:
                self._write(record.line + b"\n")
            return
        for record in records:
            cells = (_short(record.failed_at), record.type, record.subject or "-", record.id or "-")
            text = "  ".join(one_line(cell) for cell in cells)
            self._print(Text(f"{text}  {_cut(record.error)}"), soft_wrap=True)

    def whole(self, records: Iterable[Record]) -> None:
        """Show all that is known of each event."""
        if self._as_json:
            self.list(records)
            return
        for record in records:
            told = {
                "error": record.error,
                "attempts": "-" if record.attempts is None else str(record.attempts),
                "failed at": "-" if record.failed_at is None else rfc3339(record.failed_at),
                "id": record.id or "-",
                "source": record.source or "-",
                "type": record.type,
                "subject": record.subject or "-",
            }
            for name, value in told.items():
                self._print(Text(f"{name:<10} {one_line(value)}"), soft_wrap=True)
            text = orjson.dumps(record.attributes, option=orjson.OPT_INDENT_2).decode()
            lines = text if record.attributes else record.line.decode("utf-8", "backslashreplace")
            # JSON has escaped what is below 0x20; the rest might still turn the terminal round.
            for line in lines.split("\n"):
                self._print(Text(one_line(line)), soft_wrap=True)
            self._print(Text(""))

    def table(self, title: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
        """Show any table under a title; nothing where it has no rows."""
        table = _table(*heads)
        for row in rows:
            table.add_row(*(Text(_cut(cell)) for cell in row))
        if table.row_count:
            self._print(Text(title, style="bold"))
            self._print(table)

    def json(self, value: object) -> None:
        """Write `value` as one JSON line."""
        self._write(orjson.dumps(value) + b"\n")

    def _print(self, what: Text | Table, *, soft_wrap: bool = False) -> None:
        try:
            self._console.print(what, soft_wrap=soft_wrap)
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise FlowError(f"cannot write standard output: {error.strerror}") from None

    def _write(self, data: bytes) -> None:
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise FlowError(f"cannot write standard output: {error.strerror}") from None


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, head in enumerate(heads):
        last = place == len(heads) - 1
        table.add_column(head, overflow="fold", no_wrap=not last)
    return table


def _of_group(group: Group) -> dict[str, object]:
    return {
        "count": group.count,
        "first": None if group.first is None else rfc3339(group.first),
        "last": None if group.last is None else rfc3339(group.last),
        "attempts": [group.least, group.most],
        "error": group.pattern,
        "example": group.example,
        "id": group.example_id,
        "types": group.types,
    }


def _short(moment: float | None) -> str:
    """Return the local date and time of day; the year too, unless it is this one."""
    if moment is None:
        return "-"
    year = local_time(moment, "%Y")
    this_year = year == f"{datetime.now(UTC).astimezone():%Y}"
    return local_time(moment, "%m-%d %H:%M:%S" if this_year else "%Y-%m-%d %H:%M")


def local_time(moment: float, form: str) -> str:
    """Return a moment (seconds since the epoch) in the local time zone; `form`: strftime(3)."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime(form)


def _attempts(group: Group) -> str:
    if group.least is None:
        return "-"
    return str(group.least) if group.least == group.most else f"{group.least}-{group.most}"


def _cut(text: str) -> str:
    shown = one_line(text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"
