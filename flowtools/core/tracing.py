"""Keeps trace functions, profile functions and forks of user code out of our own code.

Python calls a trace function (`sys.settrace`) at each Python function that its thread calls. If
user code leaves one behind and it raises an exception, that comes out of a call in our own code. So
it must be removed without calling a Python function, at which it would be called first: `untrace`
calls C code only. A profile function (`sys.setprofile`) is called at C functions, too, but not at
the one that a `partial` calls, so that both are partials.

All this runs in the thread that has run the user code.
"""

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Returned = TypeVar("Returned")

untrace = partial(sys.settrace, None)
unprofile = partial(sys.setprofile, None)

_of_all: list[tuple[Any, Any]] = []


def confined(function: Callable[..., Returned], *arguments: Any, **named: Any) -> Returned:
    """Call a function of the user's code, and undo the trace functions that it leaves behind.

    The function may fork. If the copy of the process returns from the function, it ends here with
    status 0. Otherwise it would continue as a second command and read the same input.
    """
    process, trace, profile = os.getpid(), sys.gettrace(), partial(sys.setprofile, sys.getprofile())
    try:
        return function(*arguments, **named)
    finally:
        # The profile function first: it would be called at sys.settrace.
        profile()
        sys.settrace(trace)
        if os.getpid() != process:
            os._exit(0)


def note_traces_of_all() -> None:
    """Remember which trace functions new threads get; called before the first event runs."""
    _of_all[:] = [(threading.gettrace(), threading.getprofile())]


def start_thread(thread: threading.Thread) -> None:
    """Start a thread of our own code, without the trace functions of user code.

    User code may have set one for all new threads with `threading.settrace`.

    Raises:
        RuntimeError: The system cannot start another thread.
    """
    # Empty in a process that runs no user code: then nothing is changed. A debugger that was active
    # before the first event keeps its function.
    for trace, profile in _of_all:
        if threading.gettrace() is not trace:
            threading.settrace(trace)
        if threading.getprofile() is not profile:
            threading.setprofile(profile)
    thread.start()
