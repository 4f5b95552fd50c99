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
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Returned = TypeVar("Returned")

untrace = partial(sys.settrace, None)
unprofile = partial(sys.setprofile, None)


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
