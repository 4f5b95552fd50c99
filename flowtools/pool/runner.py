"""How a thread of the pool runs its Worker: here, in the thread itself."""

import ctypes
from collections.abc import Callable
from threading import Thread
from typing import Any, Protocol

from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.toolong import exceeds
from flowtools.core.wait import Stop
from flowtools.pool.batch import Answer, Batch, run_batch
from flowtools.pool.outcome import Failure
from flowtools.pool.results import ResultError, lines_of
from flowtools.process.console import Whose, shows_tracebacks
from flowtools.process.programs import end_programs
from flowtools.worker.batch import Events
from flowtools.worker.exceptions import TimeLimit

log = get_log("flowtools.pool")


class RunnerBroken(Exception):
    """There is no Worker to run anything with: the pool is to end with `error`."""

    def __init__(self, error: FlowError) -> None:
        super().__init__(str(error))
        self.error = error


class Runner(Protocol):
    """Runs the Worker for one thread of the pool."""

    def attribute_to(self, whose: Whose) -> None:
        """Let `whose` say to which attempt belongs what is written where the Worker runs."""

    @property
    def start(self) -> Callable[[Event], Any]:
        """Runs the Worker's `start` to its end, returns what it returned, raises what it raised."""

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Run the Worker's `start_many` to its end; return what became of each event.

        Raises what it raised, which fails all of them.
        """

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

    def interrupt(self, thread: Thread, since: float) -> None:
        """Make a `start` that runs in `thread` end, and the programs that it has started.

        Called from the watchdog's thread. `since`: when it began, in seconds of
        `time.monotonic()`.
        """

    def release(self) -> None:
        """Begin to let go of what the runner holds; no `start` runs or follows."""

    def close(self) -> None:
        """Wait until that is done.

        Raises:
            FlowError: The Worker could not clean up.
        """


def failure_of(raised: BaseException, runner: Runner) -> Failure:
    """Return what an exception of an attempt says; raise TimeLimit, which ends it, again."""
    if issubclass(type(raised), TimeLimit):  # Its __class__ may lie, or raise.
        raise raised
    return runner.failure(raised)


class BoundedRunner:
    """Another runner, whose results the next command must be able to read."""

    def __init__(self, runner: Runner, max_line: int) -> None:
        """Let `runner` run the Worker; a line of more than `max_line` bytes fails the event."""
        self._runner = runner
        self._max_line = max_line
        self.failure = runner.failure
        self.interrupt = runner.interrupt
        self.release = runner.release
        self.close = runner.close
        self.attribute_to = runner.attribute_to

    @property
    def start(self) -> Callable[[Event], Any]:
        """As the other runner."""
        return self._runner.start

    @property
    def prepare(self) -> Callable[[Stop], float] | None:
        """As the other runner."""
        return self._runner.prepare

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines of the other runner.

        Raises:
            ResultError: One is too long. No further attempt would make it shorter.
        """
        return self._checked(self._runner.lines(event, returned))

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Return the answers of the other runner; a line that is too long fails its event."""
        return [self._answer(each) for each in self._runner.start_many(batch)]

    def _answer(self, answer: Answer) -> Answer:
        if isinstance(answer, Failure):
            return answer
        try:
            return self._checked(answer)
        except ResultError as error:
            return Failure.of(error)

    def _checked(self, lines: list[bytes]) -> list[bytes]:
        for line in lines:
            if found := exceeds(line, self._max_line):
                raise ResultError(f"a result is too long: {found}")
        return lines


def _nothing(given: Any) -> Any:
    """Stand for a method that the Worker does not have; the pool calls the other one."""
    raise TypeError("the Worker has no such method")


class ThreadRunner:
    """Runs the Worker in the calling thread."""

    prepare = None

    def __init__(self, worker: Any, pausing: tuple[type[Exception], ...] = ()) -> None:
        """Run `worker`; exceptions of the classes `pausing` mean the same as Unavailable."""
        # One of the two is missing where the Worker takes batches, or takes none.
        self.start: Callable[[Event], Any] = getattr(worker, "start", _nothing)
        self._start_many: Callable[[Events], Any] = getattr(worker, "start_many", _nothing)
        self._pausing = pausing

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Return what became of each event; generators run here."""
        return run_batch(self._start_many, batch.events, batch.failures, lines_of, self.failure)

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines; a generator runs here."""
        return lines_of(event, returned)

    def failure(self, error: BaseException) -> Failure:
        """Return what the exception says."""
        return Failure.of(error, pausing=self._pausing, with_traceback=shows_tracebacks())

    def interrupt(self, thread: Thread, since: float) -> None:
        """Raise TimeLimit in `thread` at its next bytecode, and kill its programs.

        The first is what CPython's PyThreadState_SetAsyncExc does; a thread that waits in a
        system call gets the exception when the call returns. A wait for a program does so
        once that has been killed.
        """
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeLimit)
        )
        killed = end_programs(thread.native_id or 0, since)
        if killed:
            log.info("%d processes that the Worker had started have been killed", killed)

    def attribute_to(self, whose: Whose) -> None:
        """What a thread writes is attributed by the thread."""

    def release(self) -> None:
        """Nothing to release."""

    def close(self) -> None:
        """Nothing to wait for."""
