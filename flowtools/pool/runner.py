"""How a thread of the pool runs its Worker: here, in the thread itself."""

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.wait import Stop
from flowtools.pool.outcome import Failure
from flowtools.pool.results import lines_of
from flowtools.process.console import Whose, shows_tracebacks
from flowtools.worker.contract import TimeLimit, Worker


class RunnerBroken(Exception):
    """There is no Worker to run anything with: the pool is to end with `error`."""

    def __init__(self, error: FlowError) -> None:
        super().__init__(str(error))
        self.error = error


class Runner(Protocol):
    """Runs the Worker for one thread of the pool.

    Attributes:
        whose: Says which attempt runs there.
    """

    whose: Whose

    @property
    def start(self) -> Callable[[Event], Any]:
        """Runs the Worker's `start` to its end, returns what it returned, raises what it raised."""

    @property
    def prepare(self) -> Callable[[Stop], float] | None:
        """Makes ready for the next `start`, outside its time-out; None: nothing to do.

        Returns 0 once it is ready or the Stop is set, otherwise the seconds after which to
        call it again. Raises RunnerBroken where the pool cannot begin.
        """

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return what `start` returned for `event` as lines; may run the Worker's code, too."""

    def failure(self, error: BaseException) -> Failure:
        """Return what `error`, raised by `start` or `lines`, says; may run the Worker's code."""

    def interrupt(self, thread: int) -> None:
        """Make a `start` that runs in `thread` end; called from the watchdog's thread."""

    def release(self) -> None:
        """Begin to let go of what the runner holds; no `start` runs or follows."""

    def close(self) -> None:
        """Wait until that is done.

        Raises:
            FlowError: The Worker could not clean up.
        """


class ThreadRunner:
    """Runs the Worker in the calling thread."""

    prepare = None
    whose: Whose

    def __init__(self, worker: Worker) -> None:
        self.start = worker.start

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines; a generator runs here."""
        return lines_of(event, returned)

    def failure(self, error: BaseException) -> Failure:
        """Return what the exception says."""
        return Failure.of(error, with_traceback=shows_tracebacks())

    def interrupt(self, thread: int) -> None:
        """Raise TimeLimit in `thread` at its next bytecode.

        That is what CPython's PyThreadState_SetAsyncExc does; a thread that waits in a
        system call gets the exception when the call returns.
        """
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread), ctypes.py_object(TimeLimit)
        )

    def release(self) -> None:
        """Nothing to release."""

    def close(self) -> None:
        """Nothing to wait for."""
