"""Wakes the asyncio event loop of a Worker's thread, so that TimeLimit is raised there.

An exception that is set for a thread is raised between two bytecodes. A thread inside
`asyncio.run(...)` nearly always waits in epoll_wait(2), and would get there only with the next
event of its loop. A callback from outside is such an event. The exception then leaves the loop, and
`asyncio.run` cancels the tasks that are left, so that their `finally` blocks run.

The loop is found in the frames of the thread, because asyncio does not tell other threads which
loop a thread runs. The watchdog calls this, so nothing here may run code of a user's class: only
the loops of asyncio and uvloop are woken.
"""

import sys
from contextlib import suppress
from typing import Any

_RUNS = frozenset(("run", "run_until_complete", "run_forever"))
"""The methods of a loop, and of `asyncio.Runner`, inside which a thread runs a loop."""


def wake_loop(thread: int) -> None:
    """Wake the event loop that runs in the thread with this identifier, if there is one."""
    asyncio = sys.modules.get("asyncio")
    frame = sys._current_frames().get(thread) if asyncio else None  # noqa: SLF001  documented
    while asyncio and frame is not None:
        own = frame.f_locals.get("self") if frame.f_code.co_name in _RUNS else None
        if own is not None and (loop := _loop_of(own, asyncio)) is not None:
            with suppress(RuntimeError):  # It has been closed meanwhile.
                loop.call_soon_threadsafe(_nothing)
            return  # The innermost loop: a thread runs only one at a time.
        frame = frame.f_back


def _loop_of(own: Any, asyncio: Any) -> Any:
    if type(own) is asyncio.Runner:
        with suppress(RuntimeError):
            own = own.get_loop()
    is_loop = issubclass(type(own), asyncio.AbstractEventLoop)
    return own if is_loop and type(own).__module__.split(".")[0] in ("asyncio", "uvloop") else None


def _nothing() -> None:
    """Do nothing: waking the loop is all."""
