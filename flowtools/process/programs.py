"""Finds in /proc the programs that one thread or one process has started, and kills them.

The kernel lists the children of each thread separately (/proc/PID/task/TID/children, proc(5)). So
it is known which thread, and thereby which attempt, has started a program. A program belongs to
the attempt if it did not begin before the attempt; Linux counts in ticks of 10 ms. All descendants
of such a program are killed with it, whatever their process group or session.

Each process is stopped (SIGSTOP) before its own children are listed, so that it cannot start
another one between the look and the kill. A pidfd makes sure that a signal never reaches another
process that got the same number.

Two kinds of programs are not found: those that the Worker started in a thread of its own, and those
that have left their parents (a daemon, by a double fork). And if a signal kills this process
itself, all programs keep running. `--isolation process` ends all of these, too.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, monotonic

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDS = 100
"""Maximum number of looks at the tree before killing: a program that keeps forking cannot win."""


def end_programs(thread: int, since: float) -> int:
    """Kill the programs that a thread of this process has started; return how many.

    Args:
        thread: The `native_id` of the thread.
        since: A time in seconds of `time.monotonic()`; programs that began earlier are left alone.
    """
    began = int((since - monotonic() + clock_gettime(CLOCK_BOOTTIME)) * _TICKS)
    me = os.getpid()
    return _end(lambda: [pid for pid in _children(me, thread) if _is_child(pid, me, least=began)])


def end_tree(pid: int) -> int:
    """Kill process `pid` and all its descendants; return how many. `pid` must not be reaped yet."""
    return _end(lambda: [pid])


def _end(roots: Callable[[], list[int]]) -> int:
    stopped: dict[int, int | None] = {}
    try:
        for _ in range(_ROUNDS):
            if not _stop(roots(), stopped):
                break
        for pid, fd in stopped.items():
            _signal(pid, fd, signal.SIGKILL)
    finally:
        for fd in stopped.values():
            if fd is not None:
                os.close(fd)
    return len(stopped)


def _stop(found: list[int], stopped: dict[int, int | None]) -> bool:
    """Stop `found` and all descendants; return whether any was not in `stopped` before.

    `stopped` maps each pid to its pidfd.
    """
    before = len(stopped)
    while found:
        pid = found.pop()
        if pid not in stopped:
            stopped[pid] = _open(pid)
            _signal(pid, stopped[pid], signal.SIGSTOP)
        found += _below(pid)
    return len(stopped) > before


def _open(pid: int) -> int | None:
    """Return a pidfd; None if no descriptor is left for one, or the process has ended."""
    with suppress(OSError):
        return os.pidfd_open(pid)
    return None


def _signal(pid: int, fd: int | None, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if fd is None:
            os.kill(pid, signum)
        else:
            signal.pidfd_send_signal(fd, signum)


def _below(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from _children(pid, int(task.name))


def _children(pid: int, thread: int) -> list[int]:
    try:
        return [int(each) for each in _read(f"/proc/{pid}/task/{thread}/children").split()]
    except OSError:
        return []  # The thread has ended, or the kernel was built without CONFIG_PROC_CHILDREN.


def _is_child(pid: int, parent: int, *, least: int) -> bool:
    """Return whether `pid` is a child of `parent` that began at the tick `least` or later."""
    try:
        # The fields after the name, which may hold any character: state, parent, ..., start.
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return int(fields[1]) == parent and int(fields[19]) >= least
    except (OSError, IndexError):
        return False


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
