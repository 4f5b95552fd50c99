"""Writes a line of aligned text for each event, in colour on a terminal."""

import os
from collections.abc import Iterable
from typing import TextIO

from rich.cells import cell_len, set_cell_size

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.kind import Kind
from flowtools.core.substitutes import drawn_in
from flowtools.view.columns import (
    GAP,
    NO_EVENT,
    Columns,
    Row,
    age,
    clock_text,
    end_of,
    with_room,
)

WIDTHS = {"time": 24, "type": 20, "subject": 41, "age": 5, "id": 36, "source": 28}
"""Minimum widths of columns, in cells. They are fixed, because lines are written as events come
and later events are not known yet."""

OTHER_WIDTH = 16

TIME_ON_TERMINAL = 8
"""Width of a local time of day, in cells."""

_RESET = "\x1b[0m"
_COLOURS = {"red": "\x1b[31m", "green": "\x1b[32m", "yellow": "\x1b[33m", "cyan": "\x1b[36m"}
_STYLES = {kind.value: _COLOURS[kind.colour] for kind in Kind} | {NO_EVENT: "\x1b[1;31m"}
_OTHER_STYLE = _COLOURS["cyan"]
_DIM = "\x1b[2m"


class Printer:
    """Writes a line for each row to a stream.

    On a terminal times are local and short, and a line is cut at the terminal's edge. Elsewhere
    nothing is cut, and times are as in the event.

    Attributes:
        stream: The stream it writes to.
    """

    def __init__(self, stream: TextIO, columns: Columns, *, colour: bool, search: str = "") -> None:
        """Prepare to write to `stream`; if `search` is not empty, only rows that contain it."""
        self.stream = stream
        self._names = columns.names
        self._colour = colour
        self._search = search.lower()
        self._is_terminal = stream.isatty()
        self._cut = "…".translate(drawn_in(stream.encoding))
        self._widths = [WIDTHS.get(name, OTHER_WIDTH) for name in self._names]
        if self._is_terminal:
            self._widths = [
                TIME_ON_TERMINAL if name == "time" else width
                for name, width in zip(self._names, self._widths, strict=True)
            ]

    def show(self, rows: Iterable[Row], now: float) -> None:
        """Write the rows and flush the stream.

        Raises:
            ReaderGone: The reader has closed the pipe, or the terminal has gone.
            FlowError: The stream cannot be written.
        """
        wanted = (row for row in rows if not self._search or row.holds(self._search))
        width = self._terminal_width()
        text = "".join(f"{self._line(row, now, width)}\n" for row in wanted)
        try:
            self.stream.write(text)
            self.stream.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        except OSError as error:
            raise FlowError(f"cannot write the text: {error.strerror}") from None

    def _line(self, row: Row, now: float, room: int | None) -> str:
        pieces = []
        places = list(range(len(self._names)))
        if room is not None:
            places = with_room(self._names, self._widths, room)
        last = places[-1]
        # On a narrow terminal no column but the last may take more than its share, so that the last
        # one, usually the title, stays readable.
        share = (room or 0) // min(3, len(places))
        for place in places:
            name = self._names[place]
            text = self._text(name, row.cells[place], row, now)
            if room is not None and place != last:
                text = end_of(text, share, self._cut)
            width = cell_len(text)
            if room is not None and width > room:
                text, width = set_cell_size(text, max(room - 1, 0)) + self._cut, room
            least = self._widths[place] if room is None else min(self._widths[place], share)
            padding = "" if place == last else " " * (max(least - width, 0) + GAP)
            pieces.append(self._styled(name, text, row) + padding)
            if room is not None:
                room -= width + len(padding)
                if room <= 0:
                    break
        return "".join(pieces).rstrip()

    def _text(self, name: str, cell: str, row: Row, now: float) -> str:
        if name == "age" and row.instant is not None:
            return age(now - row.instant)
        if name == "time" and row.instant is not None and self._is_terminal:
            return clock_text(row.instant, now)
        return cell

    def _styled(self, name: str, text: str, row: Row) -> str:
        if not self._colour or not text:
            return text
        if name == "type":
            return f"{_style_of(row.type)}{text}{_RESET}"
        return f"{_DIM}{text}{_RESET}" if name in ("time", "age") else text

    def _terminal_width(self) -> int | None:
        if not self._is_terminal:
            return None
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except OSError:
            raise ReaderGone from None  # The terminal has gone.


def _style_of(kind: str) -> str:
    """Return the escape sequence of the colour for the type `kind`."""
    return _STYLES.get(kind.rpartition(".")[2], _OTHER_STYLE)
