"""Turns an event line into the cells of a row that is safe to show on a terminal.

A line may be anything, and its text may hold control characters that would change the terminal. So
`Columns.row` raises no error, and every text goes through `safe`, which also cuts it: a cell of
some megabytes would make each drawing of the table slow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from rich.cells import cell_len

from flowtools.core.errors import UsageError
from flowtools.core.event import Event, EventError, decode
from flowtools.core.key import Key
from flowtools.core.times import instant
from flowtools.core.toolong import TooLong
from flowtools.process.message import one_line

DEFAULT = "time,type,subject,title"

TABLE_DEFAULT = f"{DEFAULT},age"
"""Columns of the live table. Only this display has ages, because it is drawn again as they grow."""

MAX_CELL = 300
"""Maximum number of characters that are kept of a value, more than fit on a terminal's line."""

KNOWN = (
    *("time", "type", "subject", "title", "age", "id", "source", "data", "datacontenttype"),
    *("dataschema", "specversion", "ackto", "redelivered", "replayed", "flowerror"),
    *("flowattempts", "flowfailedat", "traceparent", "tracestate"),
)
"""Names for which an event of flowtools may have a value, besides the extensions of others."""

LEAST = 8
"""Minimum width of a column, in cells."""

GAP = 2
"""Cells between two columns."""

FIRST_TO_GO = ("age", "time", "type", "id", "source")
"""Columns that are left out first on a narrow terminal, in this order; the others follow."""

NO_EVENT = "not an event"
"""The type shown for a line that is not an event."""

_ATTEMPT = {"outcome", "attempt", "final", "queued", "ran", "finished", "error"}
"""Keys that every line of a job log has."""


@dataclass(frozen=True, slots=True)
class Row:
    """The content of one line, as it is shown.

    Attributes:
        type: Type of the event; NO_EVENT for a line that is not an event.
        cells: Text of each column. The text of `age`, and often that of `time`, depends on the
            clock and is made when the row is shown.
        instant: Time of the event, in seconds since the epoch; None if it has none.
        hidden: More text for a search to look into, besides the cells: the id and the source.
    """

    type: str
    cells: tuple[str, ...]
    instant: float | None
    hidden: str

    def holds(self, text: str) -> bool:
        """Return whether `text` (lower case) is in any cell, the type, the id or the source."""
        return any(text in each.lower() for each in (*self.cells, self.type, self.hidden))


class Columns:
    """The columns of a table, and how to fill them.

    Attributes:
        names: Names of the columns, as given with --fields.
        suits: Function that escapes characters which the output lacks (core/substitutes.py).
    """

    def __init__(self, names: tuple[str, ...], pick: tuple[Callable[[Event], str], ...]) -> None:
        self.names = names
        self.suits: Callable[[str], str] = str
        self._pick = pick

    @property
    def strange(self) -> list[str]:
        """The names that events of flowtools do not have."""
        return [name for name in self.names if name not in KNOWN and not name.startswith("/")]

    @classmethod
    def parse(cls, text: str) -> "Columns":
        """Read the value of --fields: names and JSON Pointers, separated by commas.

        Raises:
            UsageError: A part is neither a name nor a JSON Pointer.
        """
        names = tuple(each.strip() for each in text.split(","))
        return cls(names, tuple(_picker(name) for name in names))

    def row(self, line: bytes) -> Row:
        """Return the row for `line`. Any content is accepted; no error is raised."""
        try:
            if isinstance(line, TooLong):
                raise EventError("the line is too long")
            event = _as_attempt(decode(line))
        except EventError as error:
            return self._of_no_event(line, error)
        given = event.attributes
        identity = f"{given['id'][:MAX_CELL]}\n{given['source'][:MAX_CELL]}"
        cells = tuple(self.suits(pick(event)) for pick in self._pick)
        return Row(self.suits(safe(event.type)), cells, _instant_of(event), identity)

    def _of_no_event(self, line: bytes, error: EventError) -> Row:
        text = self.suits(safe(line[:MAX_CELL].decode("utf-8", "backslashreplace")))
        # The reason may quote the line, so it may hold the same characters.
        reason = self.suits(safe(str(error)))
        said = {"type": NO_EVENT, "subject": reason, "title": text}
        cells = tuple(said.get(name, "") for name in self.names)
        # With other columns than these the line must still be seen as bad.
        if not any(cells):
            cells = (f"{NO_EVENT}: {reason}", *cells[1:])
        return Row(NO_EVENT, cells, None, text)


def safe(text: str) -> str:
    """Return the beginning of `text` as one line without control characters."""
    return one_line(text[:MAX_CELL])


def _time_of(event: Event) -> str:
    """Return the time of the event, or of its permanent failure if it has failed."""
    failed = event.attributes.get("flowfailedat")
    return failed if isinstance(failed, str) and failed else str(event.time or "")


def _instant_of(event: Event) -> float | None:
    """Return the time of the event in seconds since the epoch; None if it has no usable time."""
    return instant(_time_of(event))


def _as_attempt(event: Event) -> Event:
    """Return a line of a job log as an event at the time of its attempt; any other event as it is.

    So `flow-view < JOBLOG` shows attempts with the id, type and subject of their events.
    """
    data = event.attributes.get("data")
    # `decode` makes an event of this type from any JSON value that is not an event.
    is_plain = event.type == "flow.stdin.line"
    if not is_plain or not isinstance(data, dict) or not data.keys() >= _ATTEMPT:
        return event
    said = f"{data['outcome']}, attempt {data['attempt']}"
    if data["error"]:
        said += f": {data['error']}"
    texts = {name: data.get(name) for name in ("id", "source", "subject", "type")}
    given = {name: value for name, value in texts.items() if isinstance(value, str) and value}
    return Event.of(
        event.attributes | given | {"time": str(data["finished"]), "data": data | {"title": said}}
    )


def _title_of(event: Event) -> str:
    """Return a title for people: a title, name, path or body in the data, or else the data itself.

    Empty only if the event has no data.
    """
    given = event.attributes
    if "data" not in given and "data_base64" not in given:
        return ""
    data: Any = given.get("data", given.get("data_base64"))
    if isinstance(data, dict):
        named = (data.get(key) for key in ("title", "name", "path", "body"))
        found = next((value for value in named if value is not None and value != ""), None)
        data = data if found is None else found
    return data[:MAX_CELL] if isinstance(data, str) and data else _json(data)[:MAX_CELL]


def _json(data: Any) -> str:
    try:
        return orjson.dumps(data).decode()
    # orjson does not write more than 254 levels.
    except TypeError:
        return "(nested too deeply to show)"


def age(seconds: float) -> str:
    """Return an age in one unit: "now", "12s", "5m", "3h", "8d"; "-5s" for a time in the future."""
    if abs(seconds) < 1:
        return "now"
    sign = "-" if seconds < 0 else ""
    rest = int(abs(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if rest >= size:
            return f"{sign}{rest // size}{unit}"
    return f"{sign}{rest}s"


def clock_text(instant: float, now: float) -> str:
    """Return the local time of `instant`: with the date on another day, with the year in another.

    As short as it can be, because a narrow table would cut the minutes off a longer one.
    """
    moment = datetime.fromtimestamp(instant, UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    if moment.date() == today:
        return f"{moment:%H:%M:%S}"
    if moment.year == today.year:
        return f"{moment:%m-%d %H:%M:%S}"
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _picker(name: str) -> Callable[[Event], str]:
    if name == "title":
        return lambda event: safe(_title_of(event))
    if name == "age":
        return lambda event: ""
    if name == "time":
        return lambda event: safe(_time_of(event))
    try:
        key = Key.parse(name)
    except UsageError:
        raise UsageError(
            f"'{name}' is not a field: write title, age, an attribute's name such as subject,"
            " or a JSON Pointer into the data such as /size"
        ) from None
    return lambda event: safe(_of(key, event))


def _of(key: Key, event: Event) -> str:
    try:
        return key.of(event) or ""
    except TypeError:
        return "(nested too deeply to show)"


def with_room(names: Sequence[str], needs: Sequence[int], width: int) -> list[int]:
    """Return the indexes of the columns that fit into `width` cells, each at least LEAST wide.

    Args:
        names: Names of the columns.
        needs: Number of cells that each column would take.
        width: Width of the terminal, in cells.

    The title always stays, or without a title the last column.
    """
    kept = list(range(len(names)))
    order = [names.index(name) for name in FIRST_TO_GO if name in names]
    order += [place for place in reversed(kept) if place not in order]
    stays = names.index("title") if "title" in names else kept[-1]
    for place in order:
        if sum(min(needs[each], LEAST) + GAP for each in kept) - GAP <= width:
            break
        if place != stays:
            kept.remove(place)
    return kept


def end_of(text: str, width: int, mark: str = "…") -> str:
    """Return the end of `text` that fits into `width` cells (1 or more), with `mark` before it.

    The end is kept because types, paths and ids differ there. A character may take two cells, so
    the result may be a cell shorter.
    """
    if cell_len(text) <= width:
        return text
    kept = text[-width:]
    while cell_len(kept) > width - 1:
        kept = kept[1:]
    return mark + kept
