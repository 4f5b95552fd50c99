"""Waits for descriptors, for a wake-up from another thread, and for the request to stop.

Everything here uses poll(2), because a command waits for descriptors: its input, a socket, the pipe
to its reader. A wake-up from another thread and the request to stop are descriptors, too, so that
one call waits for all of them.
"""

import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

LONGEST_WAIT = 24 * 86400.0
"""Maximum time that poll(2) can wait, in seconds: it counts milliseconds in 31 bits."""

_SLICE = 0.1
"""Maximum length of one slice of `sleep`, in seconds."""


class HasFileno(Protocol):
    """Anything with a file descriptor: a socket, a pipe, a Wake, a Stop."""

    def fileno(self) -> int:
        """Return the file descriptor."""


def poll_time(seconds: float | None) -> float | None:
    """Return `seconds` (None: for ever) in milliseconds and bounded, as poll(2) needs them."""
    return None if seconds is None else min(max(0.0, seconds), LONGEST_WAIT) * 1000


def wait(
    *readable: int | HasFileno,
    writable: int | HasFileno | Sequence[HasFileno] | None = None,
    gone: int | HasFileno | None = None,
    seconds: float | None = None,
) -> set[int]:
    """Wait until one of several descriptors is ready; return those that are.

    Args:
        readable: Wait until one of these can be read, or its other end has closed.
        writable: Wait until this, or one of these, can be written, or its other end has closed.
        gone: Wait until the reader of this pipe has gone (POLLERR), or its socket has failed.
        seconds: The time to wait, at most LONGEST_WAIT; 0 does not wait; None waits for ever.

    Returns:
        The descriptors that are ready; empty when the time is over.
    """
    poller = select.poll()
    for each in readable:
        poller.register(each, select.POLLIN)
    if writable is not None:
        for other in writable if isinstance(writable, Sequence) else (writable,):
            poller.register(other, select.POLLOUT)
    if gone is not None:
        poller.register(gone, 0)  # POLLERR and POLLHUP are always reported.
    return {fd for fd, _ in poller.poll(poll_time(seconds))}


def sleep(seconds: float) -> None:
    """Sleep in slices, since the pool's TimeLimit reaches a thread only between two bytecodes."""
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        time.sleep(min(left, _SLICE))


class Wake:
    """An eventfd(2), which is readable from the time when it is rung until it is cleared.

    Any thread and any signal handler may ring it. An abandoned thread may still do so at any later
    time, when the number of a closed descriptor may belong to another file. In that case the owner
    does not call `close`, and the descriptor is closed with the last reference.
    """

    _fd = -1

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._fd

    def ring(self) -> None:
        """Make the descriptor readable."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Make the descriptor unreadable until it is rung again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is rung, at most `seconds` (None: for ever); return whether it is rung.

        The wait does not clear it.
        """
        return bool(wait(self._fd, seconds=seconds))

    def close(self) -> None:
        """Release the descriptor; call this once no thread waits for it or rings it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        """Release the descriptor if `close` was not called."""
        self.close()


class Stop:
    """A request to end, for which any number of threads can wait.

    The file descriptor becomes readable when the request comes, and stays readable.
    """

    def __init__(self) -> None:
        # A pipe and not threading.Event: set() is called in a signal handler, and an
        # Event's lock may be held by the very code that the signal interrupted.
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.signum: int | None = None

    def fileno(self) -> int:
        """Return a file descriptor to poll for reading; never read from it."""
        return self._reader

    def set(self, signum: int | None = None) -> None:
        """Ask to end; safe in a signal handler and from any thread."""
        if self.signum is None:  # Before the write: a thread that it wakes looks at `signum`.
            self.signum = signum
        try:
            os.write(self._writer, b"\0")
        except BlockingIOError:
            return  # The pipe is full, and therefore readable already.

    def is_set(self) -> bool:
        """Return whether the request has come."""
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait up to `seconds` (None: for ever) for the request; return whether it has come.

        A given time is bounded by LONGEST_WAIT.
        """
        return bool(wait(self._reader, seconds=seconds))

    def close(self) -> None:
        """Release the pipe."""
        os.close(self._reader)
        os.close(self._writer)
