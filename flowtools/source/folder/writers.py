"""Find out whether a file is open for writing, in two ways that the kernel offers.

A *read lease* (fcntl(2), F_SETLEASE) is granted only on a file that no process of this machine has
open for writing. Asking costs some microseconds and two system calls; the lease is given back at
once, and a writer that comes in between waits for that moment. Only the owner of a file, or a
process with CAP_LEASE, may ask.

Where that is refused, /proc shows the files that processes of ours have open (all processes,
to root). Reading it costs milliseconds, so one look serves all questions of a second.
"""

import fcntl
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

LOOK_EVERY = 1.0
"""Seconds for which the result of reading /proc is used."""


class Writers:
    """Tells whether files are open for writing; for one thread."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Prepare; `monotonic` is a clock, in seconds."""
        self._monotonic = monotonic
        self._open: set[tuple[int, int]] = set()
        self._looked = float("-inf")

    def has_any(self, path: str) -> bool | None:
        """Return whether the file `path` is open for writing; None: that cannot be found out."""
        try:
            # Without blocking, in case it has been replaced by a FIFO.
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            by_lease = _ask_for_lease(fd)
            if by_lease is not None:
                return by_lease
            status = os.fstat(fd)
            # A file that was not seen may still be open in a process of another user.
            return True if (status.st_dev, status.st_ino) in self._seen() else None
        finally:
            os.close(fd)

    def _seen(self) -> set[tuple[int, int]]:
        now = self._monotonic()
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._open = _open_for_writing()
        return self._open


def _ask_for_lease(fd: int) -> bool | None:
    """Return whether the file is open for writing; None if this process may not ask."""
    try:
        # The kernel signals that a writer waits for the lease. By default it sends SIGIO, which
        # would end the process; SIGURG is ignored.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    return False


def _open_for_writing() -> set[tuple[int, int]]:
    """Return device and inode of each regular file that a process has open for writing."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            numbers = [each.name for each in (process / "fd").iterdir()]
        except OSError:
            continue  # Not ours, or gone.
        for number in numbers:
            try:
                status = os.stat(process / "fd" / number)  # noqa: PTH116  a link to anything
                if stat.S_ISREG(status.st_mode) and _writes(process / "fdinfo" / number):
                    found.add((status.st_dev, status.st_ino))
            except OSError:
                continue
    return found


def _writes(info: Path) -> bool:
    for line in info.read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
