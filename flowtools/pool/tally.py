"""The figures of a pool: how attempts have ended, at which rate, and how long they took.

Everything here is bounded, however long the pool runs: the durations are a sample, and the rate is
measured from a few moments of the last seconds.
"""

import random
import threading
from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from flowtools.pool.outcome import FAILURES, RETRIED, Attempt, Outcome

RATE_SPAN = 5.0
"""Seconds over which the displayed rate is measured."""

SAMPLE = 1000
"""Number of durations kept, a uniform sample of all attempts, however many there are."""


@dataclass(frozen=True)
class Figures:
    """The figures at one moment.

    Attributes:
        counts: Number of events by final outcome, and under RETRIED of attempts that were not the
            last of their event.
        seconds: Seconds since the start.
        rate: Events that ended per second, over the last RATE_SPAN seconds.
        median: Median duration of an attempt, in seconds; None before the first.
        high: 95th percentile of the durations, in seconds; None before the first.
    """

    counts: Counter[str]
    seconds: float
    rate: float
    median: float | None
    high: float | None

    @property
    def done(self) -> int:
        """Number of events that are done."""
        return self.counts[Outcome.DONE]

    @property
    def failed(self) -> int:
        """Number of events that failed permanently, in any way."""
        return sum(self.counts[outcome] for outcome in FAILURES)

    def others(self) -> list[tuple[str, int]]:
        """Return label and number of each other outcome that has occurred."""
        labels = [each for each in Outcome if each is not Outcome.DONE and not each.is_failure]
        return [(each, self.counts[each]) for each in (*labels, RETRIED) if self.counts[each]]


class Snapshot(NamedTuple):
    """The state of a pool.

    Attributes:
        running: The running events: subject or id, and for how many seconds each has been running.
        queued: Number of events that have been read and wait for a thread, their key or a retry.
        threads: Number of threads of the pool.
        abandoned: Number of threads that are stuck in the Worker and have been replaced.
        paused: Seconds for which the pool has been paused; 0 if it is not.
    """

    running: list[tuple[str, float]]
    queued: int
    threads: int
    abandoned: int
    paused: float = 0.0


class Share(NamedTuple):
    """The share of an input file that is done.

    Attributes:
        done: The share, from 0 to 1.
        left: Estimated seconds for the rest; None if there is no estimate yet.
    """

    done: float
    left: float | None


def share_of(figures: Figures, snapshot: Snapshot, read: int, size: int) -> Share | None:
    """Return the share that is done when `read` of the input's `size` bytes have been read.

    The estimate assumes that the remaining lines are as long, and take as long, as those so far.
    Returns None while nothing has been read.
    """
    ended = figures.counts.total() - figures.counts[RETRIED]
    begun = ended + snapshot.queued + len(snapshot.running)
    if not read or not begun:
        return None
    done = min(1.0, ended / begun * read / max(size, read))
    return Share(done, figures.seconds * (1 - done) / done if done else None)


class Tally:
    """Counts how attempts end, and keeps a sample of their durations; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._ran = 0
        self._sample: list[float] = []
        self._began = monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._began, 0)])

    def record(self, attempt: Attempt) -> None:
        """Count an attempt."""
        with self._lock:
            self._counts[attempt.counted_as] += 1
            if attempt.outcome.ran:
                self._ran += 1
                self._keep(attempt.ran)

    def _keep(self, seconds: float) -> None:
        # Algorithm R: each of the durations so far is in the sample with the same probability.
        if len(self._sample) < SAMPLE:
            self._sample.append(seconds)
            return
        place = int(random.random() * self._ran)  # noqa: S311  no secret
        if place < SAMPLE:
            self._sample[place] = seconds

    def figures(self) -> Figures:
        """Return the figures so far; call it regularly, since the rate is measured by the calls."""
        now = monotonic()
        with self._lock:
            counts = self._counts.copy()
            sample = sorted(self._sample)
        # Only the display calls this, so that `_marks` needs no lock.
        ended = counts.total() - counts[RETRIED]
        self._marks.append((now, ended))
        while len(self._marks) > 2 and self._marks[1][0] <= now - RATE_SPAN:
            self._marks.popleft()
        since, before = self._marks[0]
        return Figures(
            counts,
            now - self._began,
            (ended - before) / max(now - since, 1e-9),
            _quantile(sample, 0.5),
            _quantile(sample, 0.95),
        )


def summary(figures: Figures) -> str:
    """Return all figures of the display in one line."""
    counts = figures.counts
    kinds = ", ".join(f"{counts[kind]} {kind}" for kind in FAILURES if counts[kind])
    more = f" ({kinds})" if counts[Outcome.FAILED] < figures.failed else ""
    parts = [f"{figures.done} done", f"{figures.failed} failed{more}"]
    parts += [f"{number} {label}" for label, number in figures.others()]
    ended = counts.total() - counts[RETRIED]
    text = f"{', '.join(parts)} in {duration(figures.seconds)}"
    text += f" ({ended / max(figures.seconds, 1e-9):.1f}/s)"
    if figures.median is not None and figures.high is not None:
        text += f"; half of the attempts took up to {duration(figures.median)}"
        text += f", 95 % up to {duration(figures.high)}"
    return text


def duration(seconds: float) -> str:
    """Return `seconds` for people: "85 µs", "12 ms", "3.2 s", "4:05 min", "1:04:05 h"."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h"


def _quantile(values: list[float], share: float) -> float | None:
    return values[min(len(values) - 1, int(share * len(values)))] if values else None
