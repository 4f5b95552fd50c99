"""Runners: how a thread of the pool runs its Worker. Here it runs in the thread itself.

A runner belongs to one slot. Its thread calls `prepare`, `start`, `lines` and `failure`. The
watchdog calls `interrupt` while that thread is inside one of the last three, and `release` and
`close` at the end of the pool. isolation.py has the runner that uses a process instead.
"""

import ctypes
from collections.abc import Callable
from threading import Thread
from typing import Any, NamedTuple, Protocol

from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.toolong import exceeds
from flowtools.core.wait import Stop
from flowtools.pool.batch import Answer, Batch, run_batch
from flowtools.pool.eventloop import wake_loop
from flowtools.pool.outcome import Failure
from flowtools.pool.results import ResultError, lines_of
from flowtools.process.console import Whose, shows_tracebacks
from flowtools.process.programs import end_programs
from flowtools.worker.batch import Events
from flowtools.worker.exceptions import TimeLimit

log = get_log("flowtools.pool")


class RunnerBroken(Exception):
    """Raised if no Worker can be started: the pool then ends with `error`."""

    def __init__(self, error: FlowError) -> None:
        super().__init__(str(error))
        self.error = error


class Series(Protocol):
    """Runs several short events in a row in one process, as flowtools.pool.handover does.

    The events of a series have numbers, from 0. Only the thread that owns the process calls the
    methods, except `take_back`.
    """

    def size(self, waiting: int, threads: int) -> int:
        """Return how many of `waiting` events to hand over at once; below 2: none.

        Each of the pool's `threads` gets its share.
        """

    def hand_over(self, contents: list[bytes]) -> int:
        """Begin a series of encoded events; return how many of them the process was given."""

    def answer(self, seconds: float | None) -> "Answered | None":
        """Wait for an answer, up to `seconds` (None: for ever); None: there was none.

        Raises:
            OSError, EOFError: The process has died.
        """

    def take_back(self) -> list[int]:
        """Take back the events that the process has not read; return their numbers."""

    def hear(self) -> None:
        """Read the output of the process, which belongs to the event that it has answered."""

    def go_on(self) -> None:
        """Let a process run events again that has halted."""

    def end(self) -> None:
        """End a series."""

    def give_up(self) -> Failure:
        """Kill the process, if it has not died; return the Failure of the event that it had."""


class Answered(NamedTuple):
    """The answer to an event of a series.

    Attributes:
        number: The event's number in the series.
        lines: Its results.
        failure: The reason why it failed; None if it did not.
        is_returned: Whether the event was not begun.
        has_halted: Whether the process waits for `go_on`; it has not begun another event.
    """

    number: int
    lines: list[bytes]
    failure: Failure | None
    is_returned: bool
    has_halted: bool


class Runner(Protocol):
    """Runs the Worker for one thread of the pool."""

    @property
    def series(self) -> Series | None:
        """What runs several events in a row; None: the runner runs them one by one."""

    def attribute_to(self, whose: Whose) -> None:
        """Let `whose` tell to which attempt the Worker's output belongs."""

    @property
    def start(self) -> Callable[[Event], Any]:
        """A function that runs the Worker's `start`, and returns or raises what that does."""

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Run the Worker's `start_many` to its end; return the answer for each event.

        Raises what `start_many` raised, which fails the whole batch.
        """

    @property
    def prepare(self) -> Callable[[Stop], float] | None:
        """A function that prepares the next `start`, outside its time-out; None: none is needed.

        It returns 0 once the runner is ready or the Stop is set, otherwise the seconds after
        which to call it again. It raises RunnerBroken if the pool cannot begin.
        """

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines for what `start` returned for `event`; may run the Worker's code."""

    def failure(self, error: BaseException) -> Failure:
        """Return the Failure for an error of `start` or `lines`; may run the Worker's code."""

    def interrupt(self, thread: Thread, since: float) -> None:
        """Interrupt the `start` that runs in `thread`, and kill the programs that it has started.

        Called from the watchdog's thread. `since` is the beginning of the attempt, in seconds of
        `time.monotonic()`.
        """

    def release(self) -> None:
        """Begin to release the runner's resources; no `start` runs or follows."""

    def close(self) -> None:
        """Wait until everything is released.

        Raises:
            FlowError: The Worker could not clean up.
        """


def failure_of(raised: BaseException, runner: Runner) -> Failure:
    """Return what an exception of an attempt says; raise TimeLimit, which ends it, again."""
    if issubclass(type(raised), TimeLimit):  # Its __class__ may lie, or raise.
        raise raised
    return runner.failure(raised)


class BoundedRunner:
    """Wraps a runner and refuses results that are too long for the next command to read."""

    def __init__(self, runner: Runner, max_line: int) -> None:
        """Wrap `runner`; a result of more than `max_line` bytes fails its event."""
        self._runner = runner
        self._max_line = max_line
        self.failure = runner.failure
        self.interrupt = runner.interrupt
        self.release = runner.release
        self.close = runner.close
        self.attribute_to = runner.attribute_to

    @property
    def series(self) -> Series | None:
        """The `series` of the wrapped runner."""
        return self._runner.series

    @property
    def start(self) -> Callable[[Event], Any]:
        """The `start` of the wrapped runner."""
        return self._runner.start

    @property
    def prepare(self) -> Callable[[Stop], float] | None:
        """The `prepare` of the wrapped runner."""
        return self._runner.prepare

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines of the wrapped runner.

        Raises:
            ResultError: A line is too long. Another attempt would not make it shorter.
        """
        return self._checked(self._runner.lines(event, returned))

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Return the answers of the wrapped runner; a line that is too long fails its event."""
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
    """Stand in for a method that the Worker does not have; the pool never calls it."""
    raise TypeError("the Worker has no such method")


class ThreadRunner:
    """Runs the Worker in the calling thread."""

    prepare = series = None

    def __init__(self, worker: Any, pausing: tuple[type[Exception], ...] = ()) -> None:
        """Run `worker`; exceptions of the classes `pausing` count as Unavailable."""
        # A Worker has one of the two methods: `start_many` if it takes batches, else `start`.
        self.start: Callable[[Event], Any] = getattr(worker, "start", _nothing)
        self._start_many: Callable[[Events], Any] = getattr(worker, "start_many", _nothing)
        self._pausing = pausing

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Return the answer for each event; generators run here."""
        return run_batch(self._start_many, batch.events, batch.failures, lines_of, self.failure)

    def lines(self, event: Event, returned: Any) -> list[bytes]:
        """Return the lines; a generator runs here."""
        return lines_of(event, returned)

    def failure(self, error: BaseException) -> Failure:
        """Return the Failure for `error`."""
        return Failure.of(error, pausing=self._pausing, with_traceback=shows_tracebacks())

    def interrupt(self, thread: Thread, since: float) -> None:
        """Raise TimeLimit in `thread` at its next bytecode, and kill its programs.

        CPython's PyThreadState_SetAsyncExc raises the exception. A thread in a system call gets it
        only when the call returns. A wait for a program returns because the program is killed, and
        that of an event loop because it is woken.
        """
        # The exception first: it has to be pending when a wait for the killed program returns.
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeLimit)
        )
        wake_loop(thread.ident or 0)
        killed = end_programs(thread.native_id or 0, since)
        if killed:
            log.info("killed %s that the Worker had started", counted(killed, "program"))

    def attribute_to(self, whose: Whose) -> None:
        """Do nothing: output is attributed by its thread."""

    def release(self) -> None:
        """Do nothing: there is nothing to release."""

    def close(self) -> None:
        """Do nothing: there is nothing to wait for."""
