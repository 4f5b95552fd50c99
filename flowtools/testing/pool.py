"""A Worker in the pool of flow-work, in this process.

All that happens to an event here is the pool's own code: it reads the lines of the events from a
file in memory, and writes results to another. Only the waits between attempts are cut short.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from flowtools.core.event import Event, encode_value, parse
from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop
from flowtools.pool.outcome import Attempt, Failure
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
    """What became of events that a Worker was run on.

    Attributes:
        attempts: All attempts, in the order in which they ended: `number` says at which event
            (from 1), `outcome` how it ended, `error` why, `final` whether it was the last.
        results: The lines of standard output, as events.
        waits: Seconds that the Worker asked for, by Retry or Unavailable; they were not waited.
    """

    attempts: tuple[Attempt, ...]
    results: tuple[Event, ...]
    waits: tuple[float, ...]

    @property
    def data(self) -> list[Any]:
        """The data of the results."""
        return [each.data for each in self.results]

    @property
    def outcomes(self) -> list[str]:
        """How each event ended, in the order of the events: done, failed, rejected, timeout."""
        return [each.outcome.value for each in self._final()]

    @property
    def errors(self) -> list[str | None]:
        """Why each event failed, in the order of the events; None: it did not."""
        return [each.error for each in self._final()]

    @property
    def answers(self) -> list[str]:
        """What the source of each event hears: ack, nack, or nothing."""
        return [each.outcome.answer.value for each in self._final()]

    def tries(self, number: int = 1) -> int:
        """Return how many attempts the event with this `number`, from 1, had."""
        return sum(each.number == number for each in self.attempts)

    def check(self) -> Self:
        """Return this.

        Raises:
            AssertionError: An event failed; with the error of each.
        """
        bad = [f"event {a.number}: {a.outcome}: {a.error}" for a in self._final() if a.error]
        if bad:
            raise AssertionError("; ".join(bad))
        return self

    def _final(self) -> list[Attempt]:
        return sorted((each for each in self.attempts if each.final), key=lambda a: a.number)


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
) -> Ran:
    """Run a Worker on `events` as flow-work does; return what became of them.

    Args:
        worker: A Worker: its class, "MODULE:CLASS" or a function, which is made, configured and
            cleaned up; or an object, which is used as it is.
        events: Events, or other JSON values, of which the pool makes events.
        retries: How many further attempts a failed event gets.
        timeout: Seconds that an attempt may take; 0: no limit.
        grace: Seconds that a Worker has to end once its time is up.
        threads: How many events run at once.
        batch: Events that a `start_many` gets at most.
        key: Gives the key of an event; those with the same one never run at once.
        config: What `configure` gets: sections of settings.
        viz_one: The stand-in that a Worker with NEEDS gets a client of.
        patience: Seconds that no wait between two attempts exceeds.

    Raises:
        ConfigurationError: The Worker cannot be called, made or configured.
        FlowError: It could not clean up, or the pool could not go on.
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
                lambda: _Runner(made, patience, waits),
                Parts(recorders=[recorder]),
            ).run()
        finally:
            stop.close()
        results = os.pread(taken, os.fstat(taken).st_size, 0).splitlines()
        return Ran(tuple(recorder.attempts), tuple(map(parse, results)), tuple(waits))


class _Recorder:
    def __init__(self) -> None:
        self.attempts: list[Attempt] = []

    def record(self, attempt: Attempt) -> None:
        """Keep `attempt`; appending to a list is safe from any thread."""
        self.attempts.append(attempt)


class _Runner(ThreadRunner):
    """Runs the Worker in the pool's threads, and cuts the waits that it asks for."""

    def __init__(self, worker: Any, patience: float, waits: list[float]) -> None:
        super().__init__(worker)
        self._patience = patience
        self._waits = waits

    def failure(self, error: BaseException) -> Failure:
        """Return what the exception says, with a shorter wait."""
        found = super().failure(error)
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
        clean_up(made, "Worker")
    finally:
        equipment.close()
        own = getattr(made, "client", None)
        if isinstance(own, Client):
            own.close()  # A transfer plugin has made its own.


def _has_method(worker: Any) -> bool:
    return callable(getattr(worker, "start", None)) or takes_batches(worker)


def _name(worker: Any) -> str:
    if isinstance(worker, str):
        return worker
    kind = worker if hasattr(worker, "__qualname__") else type(worker)
    return f"{kind.__module__}:{kind.__qualname__}"


@contextmanager
def _file(content: bytes = b"") -> Iterator[int]:
    """Yield the descriptor of a file in memory, at its beginning."""
    fd = os.memfd_create("flowtools.testing")
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)
