"""Runs a Worker in the pool of flow-work, in the process of the test.

`run_worker` writes the events as lines to a file in memory, and the pool reads them from there and
writes the results to a second one. So everything that happens to an event is done by the code that
flow-work runs, in threads of the pool, while the thread of the test is the pool's main thread. Two
things differ: waits that the Worker asks for are noted and cut to `patience`, so that a test is
quick, and attempts are recorded in memory.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from signal import SIGTERM
from threading import Lock
from typing import Any, Self

from flowtools.core.event import Event, encode_value, parse
from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop
from flowtools.pool.outcome import Attempt, Failure, Outcome
from flowtools.pool.runner import ThreadRunner
from flowtools.pool.settings import BATCH, RetryPolicy, Settings
from flowtools.pool.work import Input, Parts, Work
from flowtools.testing.standin import VizOne
from flowtools.vizone.client import Client
from flowtools.worker import needs
from flowtools.worker.contract import load, takes_batches
from flowtools.worker.loading import clean_up
from flowtools.worker.signature import check, class_of


@dataclass(frozen=True)
class Ran:
    """The attempts and results of a run of `run_worker`.

    Attributes:
        attempts: All attempts, in the order in which they ended. Each has the `number` of its
            event (from 1), its `outcome`, its `error` (text, or None), and `final`, which is true
            for the last attempt of the event.
        results: The lines that the Worker's results became, as events.
        waits: The delays that the Worker asked for with Retry or Unavailable, in seconds. The run
            waited for `patience` at most.
    """

    attempts: tuple[Attempt, ...]
    results: tuple[Event, ...]
    waits: tuple[float, ...]
    events: int = 0
    """Number of events that the run was given."""

    @property
    def data(self) -> list[Any]:
        """The data of each result."""
        return [each.data for each in self.results]

    @property
    def outcomes(self) -> list[str]:
        """The outcome of each event, in their order: done, failed, rejected or timeout.

        After an outage that did not end: unavailable, or cancelled for an event that was not tried.
        """
        return [each.outcome.value for each in self._last()]

    @property
    def errors(self) -> list[str | None]:
        """The error of each event, in their order; None if the event is done."""
        return [each.error for each in self._last()]

    @property
    def answers(self) -> list[str]:
        """The answer to the source of each event, in their order: ack, nack, or nothing."""
        return [each.outcome.answer.value for each in self._last()]

    def tries(self, number: int = 1) -> int:
        """Return the number of attempts of event `number`, counted from 1."""
        return sum(each.number == number for each in self.attempts)

    def check(self) -> Self:
        """Check that all events are done; return this object.

        Raises:
            AssertionError: An event failed; the text has the error of each such event.
        """
        bad = [f"event {a.number}: {a.outcome}: {a.error}" for a in self._last() if a.error]
        if bad:
            raise AssertionError("; ".join(bad))
        return self

    def _last(self) -> list[Attempt]:
        """Return the last attempt of each event."""
        last = {each.number: each for each in self.attempts}
        return [last.get(number) or _not_tried(number) for number in range(1, self.events + 1)]


def _not_tried(number: int) -> Attempt:
    why = "not tried: the pool ended"
    return Attempt(None, b"", number, Outcome.CANCELLED, 0, True, 0.0, 0.0, 0.0, why)


def run_worker(
    worker: Any,
    *events: Any,
    retries: int = 0,
    timeout: float = 60.0,
    grace: float = 1.0,
    threads: int = 1,
    batch: int | None = None,
    key: Callable[[Event], str | None] | None = None,
    config: ConfigParser | Mapping[str, Mapping[str, Any]] | None = None,
    viz_one: VizOne | None = None,
    patience: float = 0.0,
    pauses: int = 10,
) -> Ran:
    """Run a Worker on `events` as flow-work does; return its attempts and results.

    Args:
        worker: The Worker. A class, "MODULE:CLASS" or a function is made, configured and cleaned up
            as by flow-work; an object is used as it is, without `configure` and `clean_up`.
        events: Events, or other JSON values, from which the pool makes events.
        retries: Maximum number of further attempts for an event that failed.
        timeout: Time-out of an attempt, in seconds; 0: none.
        grace: Seconds after the time-out, after which the thread of the Worker is abandoned.
        threads: Number of events that run at once.
        batch: Maximum number of events for one call of `start_many`; None: the default of --batch.
        key: Returns the key of an event; events with the same key never run at once.
        config: The settings for `configure`: a ConfigParser, or sections by name.
        viz_one: The stand-in for the client and the store of a Worker with NEEDS.
        patience: Maximum wait between two attempts, in seconds.
        pauses: Number of attempts that may raise Unavailable; then the run ends as after SIGTERM.

    Raises:
        ConfigurationError: The Worker cannot be loaded, made or configured.
        FlowError: `clean_up` failed, or the pool could not continue.
    """
    lines = b"".join(e.encode() if isinstance(e, Event) else encode_value(e) for e in events)
    with _made(worker, config, viz_one) as made, _file(lines) as given, _file() as taken:
        recorder = _Recorder()
        stop = Stop()
        waits: list[float] = []
        settings = Settings(
            threads=threads,
            timeout=timeout,
            grace=grace,
            batch=(batch or BATCH) if takes_batches(made) else None,
            key=key,
            retry=RetryPolicy(retries, backoff=patience, max_backoff=patience),
            worker=_name(worker),
        )
        try:
            Work(
                settings,
                Input(given, stop, None),
                LineWriter(taken),
                partial(_Runner, made, patience, waits, _Outage(pauses, stop)),
                Parts(recorders=[recorder]),
            ).run()
        finally:
            stop.close()
        return Ran(tuple(recorder.attempts), _events_in(taken), tuple(waits), len(events))


def _events_in(file: int) -> tuple[Event, ...]:
    # pread: the offset of the file is where the pool has stopped writing.
    return tuple(map(parse, os.pread(file, os.fstat(file).st_size, 0).splitlines()))


class _Recorder:
    """Keeps the attempts, in the place of a job log."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        """Keep `attempt`. Threads of the pool call this; appending to a list is atomic."""
        self.attempts.append(attempt)


class _Outage:
    """Ends the run when attempts have met an outage too often: a pause may have no end."""

    def __init__(self, most: int, stop: Stop) -> None:
        self._left = most
        self._stop = stop
        self._lock = Lock()

    def note(self) -> None:
        """Count an attempt that met an outage; the threads of the pool call this."""
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self._stop.set(SIGTERM)


class _Runner(ThreadRunner):
    """Runs the Worker in the pool's threads, and shortens the waits that it asks for."""

    def __init__(self, worker: Any, patience: float, waits: list[float], outage: "_Outage") -> None:
        super().__init__(worker)
        self._patience = patience
        self._waits = waits
        self._outage = outage

    def failure(self, error: BaseException) -> Failure:
        """Return the failure that `error` stands for, with its wait cut to `patience`."""
        found = super().failure(error)
        if found.outcome is Outcome.UNAVAILABLE:
            self._outage.note()
        if found.after is None:
            return found
        self._waits.append(found.after)
        return found._replace(after=min(found.after, self._patience))


@contextmanager
def _made(
    worker: Any, config: ConfigParser | Mapping[str, Mapping[str, Any]] | None, one: VizOne | None
) -> Iterator[Any]:
    name = _name(worker)
    is_function = not isinstance(worker, type) and callable(worker) and not _has_method(worker)
    if not isinstance(worker, str | type) and not is_function:
        check("Worker", worker, name)
        yield worker
        return
    kind = load(worker) if isinstance(worker, str) else worker
    settings = config if isinstance(config, ConfigParser) else ConfigParser()
    if config is not None and settings is not config:
        settings.read_dict(config)
    equipment = needs.Equipment(
        needs.application_of(name), None if one is None else one.account(), enabled=one is not None
    )
    made = needs.make(
        "Worker", class_of(kind) if is_function else kind, name, settings, equipment=equipment
    )
    try:
        yield made
        # Only after a run without an error, whose report an error of `clean_up` would replace.
        clean_up(made, "Worker")
    finally:
        equipment.close()
        own = getattr(made, "client", None)
        if isinstance(own, Client):
            own.close()  # A transfer plugin makes its own client, which `equipment` does not know.


def _has_method(worker: Any) -> bool:
    return callable(getattr(worker, "start", None)) or takes_batches(worker)


def _name(worker: Any) -> str:
    if isinstance(worker, str):
        return worker
    kind = worker if hasattr(worker, "__qualname__") else type(worker)
    return f"{kind.__module__}:{kind.__qualname__}"


@contextmanager
def _file(content: bytes = b"") -> Iterator[int]:
    """Yield the descriptor of a file in memory that holds `content`, at its beginning."""
    fd = os.memfd_create("flowtools.testing")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
