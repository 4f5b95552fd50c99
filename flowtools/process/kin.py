"""Processes that must not outlive others: parent-death signal, process groups."""

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
    """Return the C library; best asked for before a fork, which then shares it."""
    return ctypes.CDLL(None)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when process `parent`, its parent, dies.

    That lasts until this process executes a program that changes its user (prctl(2),
    PR_SET_PDEATHSIG), and is not inherited by a fork.
    """
    c_library().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # It died before we asked.
        os._exit(1)


def kill_group(leader: int) -> None:
    """Kill every process of the process group that `leader` leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def how_it_ended(status: int | None) -> str:
    """Return what to say of a process that ended.

    `status`: as `os.waitstatus_to_exitcode` gives it; None: nobody knows.
    """
    if status is None:
        return "its process has died"
    if status < 0:
        with suppress(ValueError):
            return f"its process was killed by {signal.Signals(-status).name}"
        return f"its process was killed by signal {-status}"
    return f"its process ended with status {status}"


def threads_of_this_process() -> int:
    """Return how many threads this process has, those that Python does not know included."""
    return sum(1 for _ in Path("/proc/self/task").iterdir())
