"""Events in an unnamed file, so that memory does not grow with their number."""

import struct
import tempfile
from contextlib import suppress
from typing import BinaryIO

from flowtools.core.event import Event, parse

_TAIL = struct.Struct("<Id")


class Spool:
    """A stack of events on disk: the last one that was put in comes out first."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        self._size = 0
        self._oldest = float("inf")

    @property
    def oldest(self) -> float:
        """The time of the oldest event that is left; infinity if there is none."""
        return self._oldest

    def put(self, event: Event, when: float) -> None:
        """Add an event.

        Raises:
            OSError: The disk is full.
        """
        line = event.encode()
        # The length comes after the line, because `take` reads backwards. With it goes the oldest
        # time of the events below: those that are left once this one is taken.
        self._file.write(line + _TAIL.pack(len(line), self._oldest))
        self._size += len(line) + _TAIL.size
        self._oldest = min(self._oldest, when)

    def finish(self) -> None:
        """Write the buffer; call it after the last event was put in.

        Raises:
            OSError: The disk is full.
        """
        self._file.flush()

    def take(self) -> tuple[Event, float] | None:
        """Return the last event, and the time of the oldest one left; None: there are no more."""
        if not self._size:
            return None
        self._file.seek(self._size - _TAIL.size)
        length, oldest = _TAIL.unpack(self._file.read(_TAIL.size))
        self._size -= length + _TAIL.size
        self._file.seek(self._size)
        self._oldest = oldest
        return parse(self._file.read(length)), oldest

    def close(self) -> None:
        """Close the file, which removes it."""
        with suppress(OSError):  # Its buffer may still hold bytes that did not fit on the disk.
            self._file.close()
