"""What `sys.settrace`, `sys.setprofile` and `os.fork` in a user's code may not do to ours.

A trace function is called for each Python function that its thread calls, and what it raises
comes out of that call: in our code, once the user's has returned. So it is taken away by calls
that are not traced: of C code, and for a profile function, which sees that, by a `partial`.
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
    """Call `function` of a user's; a trace function that it leaves in this thread goes.

    It may fork. A copy of this process that comes back ends here: it would go on as a second
    command, and read the same input.
    """
    process, trace, profile = os.getpid(), sys.gettrace(), partial(sys.setprofile, sys.getprofile())
    try:
        return function(*arguments, **named)
    finally:
        profile()
        sys.settrace(trace)
        if os.getpid() != process:
            os._exit(0)


def note_traces_of_all() -> None:
    """Remember which trace functions new threads get now, before the first event runs."""
    _of_all[:] = [(threading.gettrace(), threading.getprofile())]


def start_thread(thread: threading.Thread) -> None:
    """Start a thread of ours, without a trace function that an attempt has left for all threads.

    Raises:
        RuntimeError: The system has no room for another thread.
    """
    for trace, profile in _of_all:
        if threading.gettrace() is not trace:
            threading.settrace(trace)
        if threading.getprofile() is not profile:
            threading.setprofile(profile)
    thread.start()
