"""A file to which any number of threads and processes append complete lines.

Each line is one write to a descriptor opened with O_APPEND. Linux puts it at the end of a regular
file, never into another writer's line. A written line is in the kernel, so that it survives any end
of this process; with `sync` it also survives a loss of power. SIGKILL in the middle of a write can
tear that one line if it crosses a page (seen on Linux). The next process that opens the file ends
the torn line; a process that has the file open already appends right behind the piece.
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
    """Appends lines to `path`, which is created if it does not exist; safe from any thread.

    A subclass names the kind of file: WHAT for messages, and ERROR for its errors. IS_REWRITTEN
    tells that another program may replace the file by one without some of the lines, while it
    holds a lock on the old file (flock(2)). A line then goes to the new file.

    Raises:
        ConfigurationError: The file cannot be opened, or holds anything but JSON objects.
    """

    WHAT: ClassVar[str]
    ERROR: ClassVar[type[FlowError]]
    IS_REWRITTEN: ClassVar[bool] = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._place = path.absolute()  # A Worker may change the working directory.
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
        """Return an ERROR that tells what could not be done."""
        reason = os.strerror(error.errno) if error.errno else str(error)
        return cls.ERROR(f"cannot {verb} {cls.WHAT} '{path}': {reason}")

    def append(self, line: bytes, *, sync: bool = False) -> None:
        """Write `line`, which ends with a newline, in one write; with `sync`, flush to the disk.

        Raises:
            ERROR: The line could not be written; the file holds no part of it.
        """
        try:
            # The lock covers the write and its repair: what to cut off depends on the position.
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
        """Hold the lock that keeps other programs from replacing the file meanwhile."""
        if not self._is_regular():
            yield
            return
        # Without locks (on some network file systems) no other program can rewrite it either.
        with suppress(OSError):
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        while self._is_replaced():
            old, self._fd = self._fd, _open(self._place)
            os.close(old)
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _is_replaced(self) -> bool:
        """Return whether another file is at the path now; False if there is none."""
        try:
            there = self._place.stat()
        except OSError:
            return False
        ours = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _is_regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._fd).st_mode)

    def reopen(self) -> None:
        """Continue in a new file at the same path, after a log rotation has renamed this one.

        Raises:
            ERROR: The new file cannot be opened; lines still go to the old file.
        """
        with self._lock:
            try:
                old, self._fd = self._fd, _open(self._place)
            except OSError as error:
                raise self.failure("open", self.path, error) from None
            os.close(old)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _complete(self, line: bytes, written: int) -> None:
        """Write the rest of a partly written line; if the disk is full, remove the part."""
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            if self._is_regular():
                end = os.lseek(self._fd, 0, os.SEEK_CUR)
                # Not if another process has written behind it meanwhile.
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
        # O_NONBLOCK: a FIFO without a reader is an error; opening must not wait for one.
        fd = os.open(path, flags | os.O_WRONLY | os.O_NONBLOCK, 0o666)
    try:
        os.set_blocking(fd, True)
        status = os.fstat(fd)
        if stat.S_ISREG(status.st_mode) and status.st_size > 0:
            # The path may name the Worker's own source if a word was left out of the command
            # line. A loss of power may leave NULs.
            if readable and os.pread(fd, 1, 0) not in b"{\0\n":
                raise OSError("it holds something other than lines of JSON objects")
            # An unreadable file may end with a torn line, too. An empty line does no harm.
            if not (readable and os.pread(fd, 1, status.st_size - 1) == b"\n"):
                # A process was killed while it wrote; the next line must not run into the piece.
                os.write(fd, b"\n")
    except OSError:
        os.close(fd)
        raise
    return fd
