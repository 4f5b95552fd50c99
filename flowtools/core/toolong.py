"""Lines beyond the limit: what is kept of one, and what may be added to one that is at the limit.

--max-line bounds an event as its source made it. What our own commands add at its end does not
count: where to acknowledge it, and in a failed file why it failed. So whatever one command
writes the next one can read.

Of a longer line its beginning and its end are kept in memory, whatever its size. Its whole text
goes to a `Spill`, where there is one, as it comes.
"""

import re
from collections.abc import Iterable
from typing import Protocol

ROOM = 128 * 1024
"""Bytes that our own commands may add to a line: an error of 16 KiB, escaped, and more."""

_BEGINNING = 200
_END = 400
_ACKTO_AT_END = re.compile(rb',"ackto":"(unix:[^"\\]+)"\}\s*$')
# A string cannot hold this: in one the quotes would be escaped; nor can an inner object: it would
# not be the end.
_OURS_AT_END = re.compile(
    rb'(?:,"flowerror":"(?:[^"\\]|\\.)*","flowattempts":[0-9]+,"flowfailedat":"[^"\\]*")?'
    rb'(?:,"ackto":"unix:[^"\\]+")?\}\s*$'
)


class Kept(Protocol):
    """The whole text of one line, as it comes."""

    def write(self, piece: bytes) -> None:
        """Add `piece`; never raises."""

    def finish(self) -> str | None:
        """Return where the text is, and may be read; None: there was no room for it."""

    def discard(self) -> None:
        """Forget the text."""


class Spill(Protocol):
    """Where the whole text of lines goes that are too long."""

    def begin(self) -> Kept:
        """Begin with a line; never raises."""


class TooLong(bytes):
    """The first bytes of a line beyond the limit, and "...": never JSON, whatever it was.

    Attributes:
        ackto: Where to say what became of the event, if the line ended with that.
        size: Bytes of the whole line.
        path: The file that holds the whole line; None: nothing does.
    """

    ackto: str | None = None
    size: int = 0
    path: str | None = None

    @property
    def reason(self) -> str:
        """Why the line is refused, and where the whole of it is."""
        where = f"; its whole text is in '{self.path}'" if self.path is not None else ""
        return f"longer than --max-line allows: {self.size} bytes{where}"


class LongLine:
    """A line that is being read and is too long already."""

    def __init__(self, pieces: Iterable[bytes], spill: Spill | None) -> None:
        """Begin with the `pieces` of it that have come."""
        self._kept = spill.begin() if spill is not None else None
        self._beginning = self._end = b""
        self._size = 0
        for piece in pieces:
            self.add(piece)

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if len(self._beginning) < _BEGINNING:
            self._beginning += piece[: _BEGINNING - len(self._beginning)]
        self._end = (self._end + piece[-_END:])[-_END:]
        self._size += len(piece)
        if self._kept is not None:
            self._kept.write(piece)

    def end(self) -> TooLong:
        """Return what is kept of the line."""
        line = TooLong(self._beginning + b"...")
        line.size = self._size
        # A source adds it as the last member.
        found = _ACKTO_AT_END.search(self._end)
        if found is not None:
            line.ackto = found[1].decode("utf-8", "replace")
        if self._kept is not None and line.ackto is None:
            line.path = self._kept.finish()
        elif self._kept is not None:
            self._kept.discard()  # Its source has the whole of it.
        return line

    def drop(self) -> None:
        """Forget the line."""
        if self._kept is not None:
            self._kept.discard()


def exceeds(line: bytes, most: int) -> str | None:
    """Return why `line`, made here, is too long for the next command; None: it is not."""
    size = _own_size(line.rstrip(b"\n"), most)
    if size <= most:
        return None
    return (
        f"as an event it has {size} bytes, and the next command refuses more than {most};"
        " --max-line allows more, in both"
    )


def bounded(line: bytes, most: int, spill: Spill | None) -> bytes:
    """Return `line`, or what is kept of it where its event has more than `most` bytes."""
    return line if _own_size(line, most) <= most else LongLine([line], spill).end()


def _own_size(line: bytes, most: int) -> int:
    """Return the length of `line`, where that exceeds `most` without what our commands add."""
    ours = _OURS_AT_END.search(line, max(0, len(line) - ROOM)) if len(line) > most else None
    return len(line) if ours is None else len(line) - (ours.end() - ours.start() - 1)
