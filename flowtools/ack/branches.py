"""Where lines go that several readers get: pipes whose readers acknowledge, and plain files.

All branches get each line. A slow reader holds the others up, as it does with tee(1); the wait is
here, where a stop and a reader that goes are noticed.
"""

import errno
import os
import select
import stat
from collections.abc import Iterable
from contextlib import suppress
from time import monotonic

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop, wait

OPEN_AGAIN = 0.1
"""Seconds until a named pipe that nobody reads yet is tried again."""


class Branch:
    """One place where lines go.

    Attributes:
        name: What to call it.
        has_duty: Its reader is to acknowledge what it gets: it is a pipe, not a file.
        writer: Writes to it.
    """

    def __init__(self, fd: int, name: str) -> None:
        """Write to the descriptor `fd`."""
        self.name = name
        self.writer = LineWriter(fd)
        self.has_duty = stat.S_ISFIFO(os.fstat(fd).st_mode) or stat.S_ISSOCK(os.fstat(fd).st_mode)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.writer.fileno()


def open_branch(path: str, stop: Stop, *, append: bool) -> Branch | None:
    """Return the branch that the file or pipe `path` is; None: the command is to stop.

    A named pipe is waited for until somebody reads it.

    Raises:
        FlowError: It cannot be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    flags |= os.O_APPEND if append else os.O_TRUNC
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise FlowError(f"cannot write '{path}': {error.strerror}") from None
            if stop.wait(OPEN_AGAIN):
                return None
        else:
            os.set_blocking(fd, True)
            return Branch(fd, path)


class Branches:
    """Several branches, written to together; for one thread."""

    def __init__(self, branches: Iterable[Branch], stop: Stop, drain: float) -> None:
        """Write to `branches`; after `stop`, wait for slow readers for up to `drain` seconds."""
        self._open = [*branches]
        self._stop = stop
        self._drain = drain
        self._deadline: float | None = None
        self._gone = select.epoll()
        for each in self._open:
            with suppress(PermissionError):  # A plain file has no reader that could go.
                self._gone.register(each, 0)

    @property
    def open(self) -> list[Branch]:
        """Those whose reader has not gone."""
        return self._open

    def fileno(self) -> int:
        """Return a descriptor that is readable when a reader has gone."""
        return self._gone.fileno()

    def take_gone(self) -> list[Branch]:
        """Return the branches whose readers have gone, and write no more to these."""
        ended = {fd for fd, _ in self._gone.poll(0)}
        gone = [each for each in self._open if each.fileno() in ended]
        for each in gone:
            self._gone.unregister(each)
            self._open.remove(each)
        return gone

    def flush(self) -> bool:
        """Write what the branches hold; return whether all of it is written.

        It is not where a reader has gone, or takes nothing after a stop.
        """
        waiting = [*self._open]
        is_all = True
        while waiting:
            for each in [*waiting]:
                try:
                    if each.writer.try_flush():
                        waiting.remove(each)
                except ReaderGone:
                    waiting.remove(each)
                    is_all = False
            if waiting and not self._await_room(waiting):
                return False
        return is_all

    def close(self) -> None:
        """Close what this object has opened itself."""
        self._gone.close()

    def _await_room(self, waiting: list[Branch]) -> bool:
        """Wait until one takes more; return False once the time after a stop is over."""
        if self._stop.is_set():
            self._deadline = self._deadline or monotonic() + self._drain
            return bool(wait(writable=waiting, seconds=self._deadline - monotonic()))
        wait(self._stop, writable=waiting)
        return True
