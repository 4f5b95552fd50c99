"""The pool's own figures for --metrics; `process/metrics.py` serves them.

Attempts are counted by the threads that settle them. The gauges are not kept up to date: each
request takes a snapshot of the pool, in its own thread, so that they cost nothing in between.
"""

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flowtools.core.times import happened_at
from flowtools.pool.outcome import Attempt, Outcome
from flowtools.pool.tally import Snapshot

BUCKETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Bounds of the histogram of durations, in seconds: from a look-up to the transfer of a film."""


AGES = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 21600, 86400)
"""Bounds of the histograms of ages, in seconds: from immediately to a day."""


class Metrics:
    """Counts attempts. Safe from any thread."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Add the counts to `registry`."""
        self._registry = registry
        self._events = Counter(
            "flowtools_events",
            "Events that have ended, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._attempts = Counter(
            "flowtools_attempts", "Attempts that have ended, by outcome.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "flowtools_run_seconds", "Seconds that an attempt took.", buckets=BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._taken, self._done = (
            Histogram(
                f"flowtools_lag_{moment}_seconds",
                f"Seconds from when an event happened, by its own time, until it was {moment}.",
                buckets=AGES,
                registry=registry,
            )
            for moment in ("taken", "done")
        )
        self._last = Gauge(
            "flowtools_last_event_timestamp_seconds", "When the last attempt ended.",
            registry=registry,
        )  # fmt: skip
        for outcome in Outcome:
            # Each counter exists from the start with 0, so that the first failure is an increase
            # and raises an alarm.
            self._events.labels(outcome)
            self._attempts.labels(outcome)

    def show(self, snapshot: Callable[[], Snapshot]) -> None:
        """Add the gauges for the pool's state.

        `snapshot` returns the state; it is called at every request, in the request's thread.
        """
        self._registry.register(_State(snapshot))

    def record(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self._attempts.labels(attempt.outcome).inc()
        if attempt.outcome.ran:
            self._seconds.observe(attempt.ran)
        if attempt.final:
            self._events.labels(attempt.outcome).inc()
        self._note_lag(attempt)
        self._last.set(attempt.finished)

    def _note_lag(self, attempt: Attempt) -> None:
        """Record the time from the event itself until it was taken, and until it was done."""
        happened = None if attempt.event is None else happened_at(attempt.event)
        if happened is None:
            return
        lag = attempt.finished - happened
        if attempt.attempt == 1:
            self._taken.observe(max(0.0, lag - attempt.ran - attempt.queued))
        if attempt.outcome is Outcome.DONE:
            self._done.observe(max(0.0, lag))


class _State(Collector):
    """The gauges, all from one snapshot of the pool."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Any]:
        """Yield each gauge."""
        now = self._snapshot()
        longest = max((seconds for _, seconds in now.running), default=0.0)
        yield GaugeMetricFamily("flowtools_running", "Events that run.", value=len(now.running))
        yield GaugeMetricFamily("flowtools_queued", "Events that wait inside.", value=now.queued)
        yield GaugeMetricFamily("flowtools_threads", "Width of the pool.", value=now.threads)
        yield GaugeMetricFamily(
            "flowtools_abandoned_threads", "Threads that are stuck.", value=now.abandoned
        )
        yield GaugeMetricFamily(
            "flowtools_longest_running_seconds", "Age of the oldest running event.", value=longest
        )
