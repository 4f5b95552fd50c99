"""The whole text of lines that are too long, kept in files beside the failed file.

Each line gets a file of its own: `FAILED.line-TIME-PROCESS-N`. The file is written while the line
is read, a block at a time, so that a line of any size takes no memory. It is given up and removed
if less than a twentieth of the file system would stay free, or if the line has more than MAX_SIZE
bytes: the input may be endless and have no newline at all.
"""

import os
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from flowtools.core.log import get_log
from flowtools.core.toolong import Kept

MAX_SIZE = 1024 * 1024 * 1024
"""Maximum size of a line that is kept, in bytes."""

LEAST_ROOM = 20
"""The part of the file system that must stay free: 1/LEAST_ROOM."""

_LOOK_EVERY = 1024 * 1024
_log = get_log("flowtools.pool")


class Oversize:
    """Keeps lines beside the failed file `path`. Only one thread at a time may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = count(1)

    def begin(self) -> Kept:
        """Begin to keep a line."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = f"{self._path}.line-{moment}-{os.getpid()}-{next(self._numbers)}"
        return _OversizeFile(Path(name).absolute())


class _OversizeFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = 0
        self._looked = -_LOOK_EVERY  # So that the first piece checks the room.
        self._fd: int | None = None
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._say(error.strerror)

    def write(self, piece: bytes) -> None:
        """Add `piece`, or give up."""
        if self._fd is None:
            return
        try:
            if self._size - self._looked >= _LOOK_EVERY:
                self._looked = self._size
                room = os.fstatvfs(self._fd)
                if room.f_bavail * LEAST_ROOM < room.f_blocks:
                    self._give_up("too little room is left on the file system")
                    return
            self._size += len(piece)
            if self._size > MAX_SIZE:
                self._give_up(f"it has more than {MAX_SIZE} bytes")
                return
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self._give_up(error.strerror)

    def finish(self) -> str | None:
        """Flush the file to the disk and return its name; None if it was given up."""
        if self._fd is None:
            return None
        try:
            # The failed file's line, which names this file, is flushed to the disk as well.
            os.fsync(self._fd)
        except OSError as error:
            self._give_up(error.strerror)
            return None
        os.close(self._fd)
        self._fd = None
        return str(self._path)

    def discard(self) -> None:
        """Remove the file."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            # A file system that has failed may refuse both. The line itself is reported anyway.
            with suppress(OSError):
                os.close(fd)
            with suppress(OSError):
                self._path.unlink()

    def _give_up(self, reason: str | None) -> None:
        self.discard()
        self._say(reason)

    def _say(self, reason: str | None) -> None:
        _log.warning("cannot keep a line that is too long in '%s': %s", self._path, reason)
