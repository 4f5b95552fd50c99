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
from rich.cells import cell_len
from rich.console import Console, JustifyMethod, OverflowMethod
from rich.table import Table
from rich.text import Text

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.text import counted
from flowtools.process.message import one_line

LEAST = 24
"""Width that the last column of a table keeps in a narrow terminal, in cells."""

LEAST_FIRST = 30
"""Width that the first column of a table keeps while other columns can be left out, in cells."""

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
        # Inside `page`, what is printed is captured, which only rich can do.
        self._is_page = False
        self._console = Console(highlight=False, markup=False, emoji=False)
        if not self._console.is_terminal:
            self._console.width = PIPE_WIDTH

    def table(
        self,
        heads: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[str] = (),
        spare: Sequence[str] = (),
        most_lines: int = 8,
    ) -> None:
        """Print a table.

        Args:
            heads: The names of the columns.
            rows: The cells of each row.
            right: The columns that are aligned to the right.
            spare: The columns that are left out, in this order, if the terminal is too narrow.
            most_lines: Maximum number of lines of a row; only the last column is wrapped.
        """
        cells = [[cut(cell) for cell in row] for row in rows]
        widths, last = fitted(heads, cells, spare, self._console.width)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for head, width in zip(heads, widths, strict=True):
            if width:
                justify: JustifyMethod = "right" if head in right else "left"
                # Only the last column wraps: a number in two lines could not be read.
                is_last = head == heads[-1]
                overflow: OverflowMethod = "fold" if is_last else "ellipsis"
                table.add_column(
                    head, overflow=overflow, no_wrap=not is_last, justify=justify, width=width
                )
        for row in cells:
            kept = [cell for cell, width in zip(row, widths, strict=True) if width]
            kept[-1] = cut(kept[-1], most_lines * last)
            table.add_row(*map(Text, kept))
        self._guarded(lambda: self._console.print(table))

    @property
    def width(self) -> int:
        """Width of the terminal, or of a table elsewhere, in cells."""
        return self._console.width

    def title(self, text: str) -> None:
        """Print a heading."""
        self._guarded(lambda: self._console.print(Text(one_line(text), style="bold")))

    def line(self, text: str) -> None:
        """Print one line of any length, without wrapping it."""
        if self._is_page:
            self._console.out(one_line(text), highlight=False)
            return
        # Not with rich, which takes twenty times as long: there may be a million lines.
        self._guarded(lambda: print(one_line(text), file=self._console.file, flush=True))

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Use the whole terminal while the block runs, and restore its contents afterwards."""
        with self._console.screen(hide_cursor=True):
            yield

    def page(self, draw: Callable[[], None], foot: str) -> bool:
        """Clear the terminal, and show what `draw` prints, as far as it fits, above `foot`.

        Returns:
            Whether all of it fits. If not, `foot` begins with how many lines are missing.
        """
        self._is_page = True
        try:
            with self._console.capture() as captured:
                draw()
        finally:
            self._is_page = False
        lines = captured.get().splitlines()
        room = self._console.height - 2
        if left := max(0, len(lines) - room):
            foot = f"… {counted(left, 'more line')} {foot}"

        def write() -> None:
            self._console.clear()
            # As it is: rich has put the styles of the terminal into it already.
            self._console.file.write("\n".join([*lines[:room], foot[: self._console.width - 1]]))
            self._console.file.flush()

        self._guarded(write)
        return not left

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


def fitted(
    heads: Sequence[str], cells: Sequence[Sequence[str]], spare: Sequence[str], width: int
) -> tuple[list[int], int]:
    """Return the width of each column in a table of `width` cells, and that of the last one.

    Columns of `spare` get the width 0 as long as the others do not fit: the last one with LEAST
    cells, the first one with LEAST_FIRST. Then the first one is shortened, and then the others.
    """
    # At least 1, because a column of width 0 is left out.
    wanted = [max(1, *map(cell_len, column)) for column in zip(heads, *cells, strict=True)]
    least = [*wanted[:-1], min(wanted[-1], LEAST)]
    least[0] = min(least[0], LEAST_FIRST)
    dropped = list(spare)
    while _sum(least) > width and dropped:
        place = heads.index(dropped.pop(0))
        least[place] = wanted[place] = 0
    for place, shown in enumerate(least):
        if _sum(least) > width and shown:
            least[place] = max(min(shown, 8), shown - (_sum(least) - width))
    # What is left over goes to the last column first, up to half of it, then to the first.
    left = max(0, width - _sum(least))
    first = min(wanted[0] - least[0], left - min(left // 2, wanted[-1] - least[-1]))
    least[0] += max(0, first)
    least[-1] += min(max(0, wanted[-1] - least[-1]), max(0, width - _sum(least)))
    return least, least[-1]


def _sum(widths: Sequence[int]) -> int:
    shown = [each for each in widths if each]
    return sum(shown) + 2 * (len(shown) - 1)


def cut(text: str, most: int = LONGEST) -> str:
    """Return `text` as one safe line of at most `most` characters, with an ellipsis if cut."""
    shown = one_line(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def short_moment(moment: float | None) -> str:
    """Return the local date and time; in another year, the year instead of the seconds."""
    if moment is None:
        return "-"
    this_year = local_time(moment, "%Y") == f"{datetime.now(UTC).astimezone():%Y}"
    return local_time(moment, "%m-%d %H:%M:%S" if this_year else "%Y-%m-%d %H:%M")


def local_time(moment: float, form: str) -> str:
    """Return a moment (seconds since the epoch) in the local time zone; `form`: strftime(3)."""
    return datetime.fromtimestamp(moment, UTC).astimezone().strftime(form)
