"""Lines beyond the limit: the parts that are kept of them, and the room for our own additions.

--max-line bounds an event as its source made it. What our commands add at its end does not count:
the `ackto`, and in a failed file the reason of the failure. So the next command can read every line
that one command writes.

Of a longer line only the beginning and the end are kept in memory, whatever its size. If there is a
`Spill`, the whole text goes there as it arrives.
"""

import re
from collections.abc import Iterable
from typing import Protocol

ROOM = 128 * 1024
"""Maximum number of bytes that our commands add to a line: an error of 16 KiB, in which each byte
may take six as an escape, and the other members."""

_BEGINNING = 200
_END = 400
_ACKTO_AT_END = re.compile(rb',"ackto":"(unix:[^"\\]+)"\}\s*$')
# This can match only our own members: inside a string the quotes would be escaped, and an inner
# object would not be at the end of the line.
_OURS_AT_END = re.compile(
    rb'(?:,"flowerror":"(?:[^"\\]|\\.)*","flowattempts":[0-9]+,"flowfailedat":"[^"\\]*")?'
    rb'(?:,"ackto":"unix:[^"\\]+")?\}\s*$'
)


class Kept(Protocol):
    """Stores the whole text of one line as it arrives."""

    def write(self, piece: bytes) -> None:
        """Add `piece`; never raises."""

    def finish(self) -> str | None:
        """Return the path of the complete text; None: there was no room for it."""

    def discard(self) -> None:
        """Forget the text."""


class Spill(Protocol):
    """Stores the whole text of lines that are too long."""

    def begin(self) -> Kept:
        """Begin to store a line; never raises."""


class TooLong(bytes):
    """The first bytes of a line beyond the limit, and "...", so that it is never valid JSON.

    Attributes:
        ackto: The event's `ackto`, if the line ended with one.
        size: The size of the whole line, in bytes.
        path: The file that holds the whole line; None if there is none.
    """

    ackto: str | None = None
    size: int = 0
    path: str | None = None

    @property
    def reason(self) -> str:
        """The reason why the line is refused, and the file that holds its whole text."""
        where = f"; its whole text is in '{self.path}'" if self.path is not None else ""
        return f"longer than --max-line allows: {self.size} bytes{where}"


class LongLine:
    """A line that is still being read and already too long."""

    def __init__(self, pieces: Iterable[bytes], spill: Spill | None) -> None:
        """Begin with the `pieces` of the line that have arrived."""
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
        """Return the kept part of the line, which is now complete."""
        line = TooLong(self._beginning + b"...")
        line.size = self._size
        # A source adds `ackto` as the last member, so that it is in the kept end.
        found = _ACKTO_AT_END.search(self._end)
        if found is not None:
            line.ackto = found[1].decode("utf-8", "replace")
        if self._kept is not None and line.ackto is None:
            line.path = self._kept.finish()
        elif self._kept is not None:
            self._kept.discard()  # The source still has the whole event.
        return line

    def drop(self) -> None:
        """Forget the line."""
        if self._kept is not None:
            self._kept.discard()


def exceeds(line: bytes, most: int) -> str | None:
    """Return why `line`, made here, is too long for the next command; None if it is not."""
    size = _own_size(line.rstrip(b"\n"), most)
    if size <= most:
        return None
    return (
        f"as an event it has {size} bytes, and the next command refuses more than {most};"
        " --max-line allows more, in both"
    )


def bounded(line: bytes, most: int, spill: Spill | None) -> bytes:
    """Return `line`, or the kept part of it if its event has more than `most` bytes."""
    return line if _own_size(line, most) <= most else LongLine([line], spill).end()


def _own_size(line: bytes, most: int) -> int:
    """Return the length of `line`; beyond `most`, without the members that our commands add."""
    ours = _OURS_AT_END.search(line, max(0, len(line) - ROOM)) if len(line) > most else None
    return len(line) if ours is None else len(line) - (ours.end() - ours.start() - 1)
