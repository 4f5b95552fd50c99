"""Ends processes that must not outlive others: parent-death signal, process groups.

Two mechanisms of the kernel serve --isolation process. The parent-death signal kills a process that
runs a Worker when its parent dies in any way, even by SIGKILL. Each such process leads a process
group of its own, which is killed as a whole, so that programs that the Worker has started end, too.
"""

import ctypes
import os
import signal
from contextlib import suppress
from functools import cache
from pathlib import Path

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


@cache
def c_library() -> ctypes.CDLL:
    """Return the C library; call this before a fork, so that the child has it already."""
    return ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process when its parent, process `parent`, dies.

    This lasts until the process executes a program that changes its user (prctl(2),
    PR_SET_PDEATHSIG). A forked child does not inherit it.
    """
    c_library().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # The parent died before the call above.
        os._exit(1)


def kill_group(leader: int) -> None:
    """Kill every process of the process group that `leader` leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def how_it_ended(status: int | None) -> str:
    """Return a sentence about how a process ended.

    `status` is that of `os.waitstatus_to_exitcode`; None: it is unknown.
    """
    if status is None:
        return "its process has died"
    if status < 0:
        with suppress(ValueError):  # Real-time signals have no name.
            return f"its process was killed by {signal.Signals(-status).name}"
        return f"its process was killed by signal {-status}"
    return f"its process ended with status {status}"


def threads_of_this_process() -> int:
    """Return the number of this process's threads, including those unknown to Python."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())
