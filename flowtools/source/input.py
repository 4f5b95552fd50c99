"""Read standard input, and notice when the reader of standard output goes away meanwhile."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.lines import BLOCK
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait


def blocks(fd: int, outlet: Outlet, stop: Stop) -> Iterator[bytes]:
    """Yield blocks of bytes from `fd` until its end or `stop`."""
    while True:
        ready = wait(fd, stop, gone=outlet)
        if outlet.fileno() in ready:
            raise ReaderGone
        if stop.fileno() in ready:
            return
        try:
            block = os.read(fd, BLOCK)
        except BlockingIOError:
            continue
        except OSError as error:
            raise FlowError(f"cannot read standard input: {error.strerror}") from None
        if not block:
            return
        yield block


@contextmanager
def goodbye(outlet: Outlet) -> Iterator[int | None]:
    """Yield a file descriptor that becomes readable once the reader of `outlet` has gone.

    Yield None if that cannot be seen: a regular file has no reader. The descriptor is an epoll,
    because the output's own descriptor would also be readable when input waits on it, as on a
    terminal.
    """
    with select.epoll() as watch:
        try:
            watch.register(outlet.fileno(), select.EPOLLERR)
        except PermissionError:
            yield None
        else:
            yield watch.fileno()
