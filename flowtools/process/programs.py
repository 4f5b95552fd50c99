"""The programs that one thread, or one process, has started: found in /proc, and ended.

The kernel keeps the children of each thread apart (/proc/PID/task/TID/children, proc(5)), so it
is known which Worker's attempt has started a program. A program counts as the attempt's if it
began no earlier than the attempt; Linux counts that in ticks of 10 ms. What such a program has
started in turn, at any depth, is ended with it, whatever its process group or session.

Each is stopped (SIGSTOP) before its own children are listed, so that none appears between the
look and the kill. A pidfd makes sure that a signal never meets another process that was given
the same number.

What cannot be seen: a program that the Worker has started in a thread of its own, and one that
has left its parents (a daemon, by a double fork). A process that a signal of the system ends
leaves all of them running. `--isolation process` ends these, too.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime, monotonic

_TICKS = os.sysconf("SC_CLK_TCK")
_ROUNDS = 100
"""Looks at the tree before it is killed as it is: a program that multiplies cannot win."""


def end_programs(thread: int, since: float) -> int:
    """Kill the programs that a thread of this process has started, and return how many.

    Args:
        thread: The thread's `native_id`.
        since: In seconds of `time.monotonic()`; a program that began earlier is left alone.
    """
    began = int((since - monotonic() + clock_gettime(CLOCK_BOOTTIME)) * _TICKS)
    me = os.getpid()
    return _end(lambda: [pid for pid in _children(me, thread) if _is_child(pid, me, least=began)])


def end_tree(pid: int) -> int:
    """Kill the process `pid`, which nobody reaps meanwhile, and all below it; return how many."""
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
    """Stop `found` and what is below; return whether anything was not in `stopped` before.

    `stopped` is from pid to pidfd.
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
    """Return a pidfd; None: there is no descriptor left for one, or the process has ended."""
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
        return []  # It has ended; or the kernel was built without CONFIG_PROC_CHILDREN.


def _is_child(pid: int, parent: int, *, least: int) -> bool:
    """Return whether `pid` is a child of `parent` that began at the tick `least` or later."""
    try:
        # After the name, which may hold anything: state, parent, ..., start.
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return int(fields[1]) == parent and int(fields[19]) >= least
    except (OSError, IndexError):
        return False


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")
