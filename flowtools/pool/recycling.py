"""--recycle and --recycle-memory: decides when a process of `--isolation process` is replaced.

The thread that owns the process asks between two events, so that no event is interrupted.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from flowtools.core.text import counted

LOOK_EVERY = 0.1
"""Seconds between two checks of a process's memory; each costs some 20 µs."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """The limits of a process, beyond which it is replaced.

    Attributes:
        events: Maximum number of events that it runs; None: no limit.
        memory: Maximum resident memory between two events, in bytes; None: no limit.
    """

    events: int | None = None
    memory: float | None = None


class Age:
    """Counts what one process has done; only the thread that owns the process uses it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._look_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin to count for a new process."""
        self.served = 0

    def left(self) -> int | None:
        """Return how many events the process may still run; None: there is no limit."""
        return None if self._limits.events is None else self._limits.events - self.served

    def end(self, pid: int) -> str | None:
        """Return why process `pid` has to be replaced now; None if it may continue."""
        limits = self._limits
        if limits.events is not None and self.served >= limits.events:
            return counted(self.served, "event")
        # Replacing a process that has not run any event would not save memory.
        if limits.memory is None or not self.served or monotonic() < self._look_at:
            return None
        self._look_at = monotonic() + LOOK_EVERY
        used = resident(pid)
        return f"{used / 2**20:.0f} MiB" if used > limits.memory else None


def resident(pid: int) -> int:
    """Return the resident memory of process `pid` in bytes (proc(5), statm); 0: it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
