"""Prints tables and lines for people, or JSON lines for programs, to standard output.

flow-failed, flow-joblog and flow-status use it. Every text is made safe for a terminal before it is
printed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.process.message import one_line

LONGEST = 400
"""Maximum number of characters shown of one text in a table."""

PIPE_WIDTH = 200
"""Width of a table that does not go to a terminal, in characters."""


class Screen:
    """Writes to standard output.

    Raises (every method):
        ReaderGone: The reader of standard output has closed the pipe.
        FlowError: Writing fails for another reason.
    """

    def __init__(self) -> None:
        if isinstance(sys.stdout, TextIOWrapper) and "utf" not in sys.stdout.encoding.lower():
            # A character that the locale lacks becomes an escape instead of an internal error.
            sys.stdout.reconfigure(errors="backslashreplace")
        self._console = Console(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = PIPE_WIDTH

    def table(
        self, heads: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
    ) -> None:
        """Print a table; the columns named in `right` are aligned to the right."""
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for place, head in enumerate(heads):
            # Only the last column wraps: a number or a time in two lines could not be read.
            is_last = place == len(heads) - 1
            table.add_column(
                head,
                overflow="fold",
                no_wrap=not is_last,
                justify="right" if head in right else "left",
            )
        for row in rows:
            table.add_row(*(Text(cut(cell)) for cell in row))
        self._guarded(lambda: self._console.print(table))

    def title(self, text: str) -> None:
        """Print a heading."""
        self._guarded(lambda: self._console.print(Text(one_line(text), style="bold")))

    def line(self, text: str) -> None:
        """Print one line of any length, without wrapping it."""
        # Not with rich, which takes ten times as long: there may be a million lines.
        self._guarded(lambda: print(one_line(text), file=self._console.file, flush=True))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Use the whole terminal while the block runs, and restore its contents afterwards."""
        with self._console.screen(hide_cursor=True):
            yield

    def home(self) -> None:
        """Clear the terminal and continue at its top."""
        self._guarded(self._console.clear)

    def json(self, value: object) -> None:
        """Write `value` as one JSON line."""
        self.raw(orjson.dumps(value) + b"\n")

    def raw(self, data: bytes) -> None:
        """Write the bytes of `data` unchanged."""

        def write() -> None:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

        self._guarded(write)

    def _guarded(self, write: Callable[[], Any]) -> None:
        try:
            write()
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise FlowError(f"cannot write standard output: {error.strerror}") from None


def cut(text: str) -> str:
    """Return `text` as one safe line of at most LONGEST characters, with an ellipsis if cut."""
    shown = one_line(text)
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 1] + "…"


def short_moment(moment: float | None) -> str:
    """Return the local date and time; in another year, the year instead of the seconds."""
    if moment is None:
        return "-"
    this_year = local_time(moment, "%Y") == f"{datetime.now(UTC).astimezone():%Y}"
    return local_time(moment, "%m-%d %H:%M:%S" if this_year else "%Y-%m-%d %H:%M")


def local_time(moment: float, form: str) -> str:
    """Return a moment (seconds since the epoch) in the local time zone; `form`: strftime(3)."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime(form)
