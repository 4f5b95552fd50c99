"""When a process of `--isolation process` has served long enough: --recycle, --recycle-memory."""

import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

LOOK_EVERY = 0.1
"""Seconds between two looks at a process's memory; each costs some 20 µs."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Limits:
    """What a process may do before another takes its place.

    Attributes:
        events: Events that it may run; None: any number.
        memory: Bytes of resident memory that it may have between two events; None: any.
    """

    events: int | None = None
    memory: float | None = None


class Age:
    """How much one process has done. For the thread that owns the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._look_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Take note that there is a new process."""
        self.served = 0

    def end(self, pid: int) -> str | None:
        """Return why process `pid` is to end now; None: it may go on."""
        limits = self._limits
        if limits.events is not None and self.served >= limits.events:
            return f"{self.served} events"
        # One that has run no event would not have less memory in another process.
        if limits.memory is None or not self.served or monotonic() < self._look_at:
            return None
        self._look_at = monotonic() + LOOK_EVERY
        used = resident(pid)
        return f"{used / 2**20:.0f} MiB" if used > limits.memory else None


def resident(pid: int) -> int:
    """Return the bytes of resident memory of process `pid` (proc(5), statm); 0: it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
