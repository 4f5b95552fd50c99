"""Branches: the pipes and plain files to which the same lines are written.

Every branch gets each line. A slow reader delays the others, as with tee(1). No write to a pipe
blocks. The wait for a slow reader is a poll(2) here, so that a stop and a reader that has gone are
noticed meanwhile. Everything runs in the main thread of the command.
"""

import errno
import os
import select
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from flowtools.core.errors import CUT, STALLED, FlowError, ReaderGone
from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop, wait

OPEN_AGAIN = 0.1
"""Seconds between two attempts to open a named pipe that has no reader yet."""


class Branch:
    """One pipe or file to which lines are written.

    Attributes:
        name: The name for messages.
        has_duty: Whether its reader has to acknowledge the lines: true for a pipe, not for a file.
        writer: The writer of its lines.
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
    """Open the file or pipe `path` as a branch; return None if the command has to stop.

    A named pipe is open once it has a reader; until then this waits.

    Raises:
        FlowError: The file or pipe cannot be opened.
    """
    # Without O_NONBLOCK, open(2) would block until a named pipe has a reader, and no stop could end
    # it. With it, ENXIO says that there is no reader yet, or that the path is a socket.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    flags |= os.O_APPEND if append else os.O_TRUNC
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except OSError as error:
            if error.errno != errno.ENXIO or not Path(path).is_fifo():
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
            # No event is asked for: errors and hang-ups are always reported (epoll_ctl(2)).
            with suppress(PermissionError):  # epoll refuses plain files; they have no reader.
                self._gone.register(each, 0)

    @property
    def open(self) -> list[Branch]:
        """The branches whose readers have not gone."""
        return self._open

    def fileno(self) -> int:
        """Return a descriptor that is readable when a reader has gone."""
        return self._gone.fileno()

    @property
    def left(self) -> float:
        """Seconds for readers and acknowledgements that are left of the time after a stop."""
        if self._deadline is None:
            return self._drain
        return max(0.0, self._deadline - monotonic())

    def check_written(self, first: int) -> None:
        """Check after `flush` that slow readers had time, for lines made of `first` and later ones.

        Raises:
            FlowError: The time after a stop is over, and a reader has not taken everything.
        """
        if self._deadline is not None and not self.left:
            cut = CUT if any(each.writer.is_cut for each in self._open) else ""
            raise FlowError(
                f"{STALLED}{cut}: those from line {first} of the input on may be missing"
            )

    def take_gone(self) -> list[Branch]:
        """Return the branches whose readers have gone; nothing more is written to them."""
        ended = {fd for fd, _ in self._gone.poll(0)}
        gone = [each for each in self._open if each.fileno() in ended]
        for each in gone:
            self._gone.unregister(each)
            self._open.remove(each)
        return gone

    def flush(self) -> bool:
        """Write everything that the branches hold; return whether all of it was written.

        False means that a reader has gone, or took nothing more after a stop.
        """
        waiting = [*self._open]
        is_all = True
        while waiting:
            for each in [*waiting]:
                try:
                    if each.writer.try_flush():
                        waiting.remove(each)
                except ReaderGone:
                    waiting.remove(each)  # The others still get their lines; see `take_gone`.
                    is_all = False
            if waiting and not self._await_room(waiting):
                return False
        return is_all

    def end(self) -> None:
        """Close the pipes of all branches, so that their readers see the end."""
        ends = {_identity(each.fileno()) for each in self._open if each.has_duty}
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        # A shell leaves a process substitution open under a second number, that of /dev/fd/63.
        for fd in [int(name) for name in os.listdir("/proc/self/fd")]:  # noqa: PTH208
            with suppress(OSError):  # The descriptor of this listing is closed by now.
                if _identity(fd) in ends:
                    os.dup2(nowhere, fd)
        os.close(nowhere)

    def close(self) -> None:
        """Close the epoll descriptor; the branches stay open."""
        self._gone.close()

    def _await_room(self, waiting: list[Branch]) -> bool:
        """Wait until a branch takes more; return False once the time after a stop is over."""
        # One deadline for all waits after a stop: each line of a block may need a wait of its own.
        if self._stop.is_set():
            self._deadline = self._deadline or monotonic() + self._drain
            return bool(wait(writable=waiting, seconds=self._deadline - monotonic()))
        wait(self._stop, writable=waiting)
        return True


def _identity(fd: int) -> tuple[int, int]:
    """Return what all descriptors of one pipe have in common."""
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
