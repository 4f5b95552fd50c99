"""A file that whole lines are appended to, by any number of threads and processes.

Each line is one write to a descriptor opened with O_APPEND: Linux puts it at the end of
a regular file, next to the lines of other writers, and what has been written is the
system's, so that it outlives this process however it ends, and the loss of power where
that was asked for. SIGKILL in the middle of a write can tear that one line where it crosses a
page, seen on Linux; who opens the file next ends it, but another process that has it
open appends right behind the piece.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import ClassVar, Self

from flowtools.core.errors import ConfigurationError, FlowError


class AppendFile:
    """Appends lines to `path`, which is created if it is not there; safe from any thread.

    A class of its own says what the file is, WHAT in messages, and its ERROR. IS_REWRITTEN says
    that another program may put a file without some of the lines in its place, while it holds
    a lock on the old one (flock(2)); a line then goes to the new file.

    Raises:
        ConfigurationError: The file cannot be opened, or holds something else than JSON objects.
    """

    WHAT: ClassVar[str]
    ERROR: ClassVar[type[FlowError]]
    IS_REWRITTEN: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        try:
            self._fd = _open(path)
        except OSError as error:
            raise ConfigurationError(str(self.failure("open", path, error))) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @classmethod
    def failure(cls, verb: str, path: Path, error: OSError) -> FlowError:
        """Return the ERROR that says what could not be done."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        return cls.ERROR(f"cannot {verb} {cls.WHAT} '{path}': {reason}")

    def append(self, line: bytes, *, sync: bool = False) -> None:
        """Write `line`, which ends with a newline, in one write; with `sync` to the disk.

        Raises:
            ERROR: It could not be written; the file holds no part of it.
        """
        try:
            # The lock is for the write alone: what to cut off depends on the position.
            with self._lock:
                if not self.IS_REWRITTEN:
                    self._put(line, sync)  # A context manager would cost every event.
                    return
                with self._held():
                    self._put(line, sync)
        except OSError as error:
            raise self.failure("write", self.path, error) from None

    def _put(self, line: bytes, sync: bool) -> None:
        written = os.write(self._fd, line)
        if written != len(line):
            self._complete(line, written)
        if sync and self._is_regular():
            os.fdatasync(self._fd)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep the file from being rewritten meanwhile, where that may happen."""
        if not self._is_regular():
            yield
            return
        # Where there are no locks (some network file systems) nobody can rewrite it either.
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        while self._is_replaced():
            old, self._fd = self._fd, _open(self.path)
            os.close(old)
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _is_replaced(self) -> bool:
        """Return whether another file is at the path now; a log rotation leaves none at first."""
        try:
            there = self.path.stat()
        except OSError:
            return False
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._fd).st_mode)

    def reopen(self) -> None:
        """Go on in a new file at the same path, after a log rotation has renamed this one.

        Raises:
            ERROR: It cannot be opened; lines still go to the old file.
        """
        with self._lock:
            try:
                old, self._fd = self._fd, _open(self.path)
            except OSError as error:
                raise self.failure("open", self.path, error) from None
            os.close(old)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _complete(self, line: bytes, written: int) -> None:
        """Write the rest of a line of which the disk had room for a part, or remove the part."""
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            if self._is_regular():
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                # Unless another process has found room behind it.
                if end == os.fstat(self._fd).st_size:
                    os.ftruncate(self._fd, end - written)
            raise


def _open(path: Path) -> int:
    flags = os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    readable = True
    try:
        fd = os.open(path, flags | os.O_RDWR, 0o666)
    except PermissionError:
        readable = False
        # Not to wait for the reader of a FIFO: that there is none is an error.
        fd = os.open(path, flags | os.O_WRONLY | os.O_NONBLOCK, 0o666)
    try:
        os.set_blocking(fd, True)
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size > 0:
            # Such as the Worker's own text, where a word of the command line was forgotten; a
            # loss of power may leave NULs.
            if readable and os.pread(fd, 1, 0) not in b"{\0\n":
                raise OSError("it holds something else than lines of JSON objects")
            # What cannot be looked at may be torn; an empty line is none to those who read it.
            if not (readable and os.pread(fd, 1, status.st_size - 1) == b"\n"):
                # Left by a process killed while it wrote; the next line must not run into it.
                os.write(fd, b"\n")
    except OSError:
        os.close(fd)
        raise
    return fd
