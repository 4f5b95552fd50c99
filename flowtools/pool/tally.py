"""How attempts have ended, how fast, and how long they took: what there is to say of a pool."""

import random
import threading
from collections import Counter, deque
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple

from flowtools.pool.outcome import FAILURES, RETRIED, Attempt, Outcome

RATE_SPAN = 5.0
"""Seconds that the displayed rate looks back."""

SAMPLE = 1000
"""Durations that are kept, whatever the number of attempts: a uniform sample of all."""


@dataclass(frozen=True)
class Figures:
    """What there is to say at one moment.

    Attributes:
        counts: Events by final outcome, and under RETRIED the attempts that were not the last.
        seconds: Time since the start.
        rate: Events that end in a second, over the last RATE_SPAN seconds.
        median: Seconds that half of the attempts stay below; None before the first.
        high: Seconds that 95 of 100 attempts stay below.
    """

    counts: Counter[str]
    seconds: float
    rate: float
    median: float | None
    high: float | None

    @property
    def done(self) -> int:
        """Events that are done."""
        return self.counts[Outcome.DONE]

    @property
    def failed(self) -> int:
        """Events that failed for good, in whichever way."""
        return sum(self.counts[outcome] for outcome in FAILURES)

    def others(self) -> list[tuple[str, int]]:
        """Return label and number of whatever is neither done nor failed and has come up."""
        labels = [each for each in Outcome if each is not Outcome.DONE and not each.is_failure]
        return [(each, self.counts[each]) for each in (*labels, RETRIED) if self.counts[each]]


class Snapshot(NamedTuple):
    """The state of a pool.

    Attributes:
        running: What runs, as the event's subject or id and for how many seconds.
        queued: Events that have been read and wait, for a thread, their key or a retry.
        threads: The pool's width.
        abandoned: Threads that are stuck in the Worker and have been replaced.
        paused: Seconds for which the pool has taken nothing, for nothing can be done; or 0.
    """

    running: list[tuple[str, float]]
    queued: int
    threads: int
    abandoned: int
    paused: float = 0.0


class Share(NamedTuple):
    """How much of a file that is read from end to end is done.

    Attributes:
        done: The share, from 0 to 1.
        left: Seconds that the rest is going to take; None where that cannot be said yet.
    """

    done: float
    left: float | None


def share_of(figures: Figures, snapshot: Snapshot, read: int, size: int) -> Share | None:
    """Return how much is done where `read` of the `size` bytes of the input have been read.

    The rest is taken to have lines as long as those so far, which take as long as those did. None
    while nothing has been read.
    """
    ended = figures.counts.total() - figures.counts[RETRIED]
    begun = ended + snapshot.queued + len(snapshot.running)
    if not read or not begun:
        return None
    done = min(1.0, ended / begun * read / max(size, read))
    return Share(done, figures.seconds * (1 - done) / done if done else None)


class Tally:
    """Counts how attempts end, and keeps a sample of how long they took; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._ran = 0
        self._sample: list[float] = []
        self._began = monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._began, 0)])

    def record(self, attempt: Attempt) -> None:
        """Take note of an attempt."""
        with self._lock:
            self._counts[attempt.counted_as] += 1
            if attempt.outcome.ran:
                self._ran += 1
                self._keep(attempt.ran)

    def _keep(self, seconds: float) -> None:
        # Algorithm R: each of the n durations so far is kept with the same chance.
        if len(self._sample) < SAMPLE:
            self._sample.append(seconds)
            return
        place = int(random.random() * self._ran)  # noqa: S311  no secret
        if place < SAMPLE:
            self._sample[place] = seconds

    def figures(self) -> Figures:
        """Return the figures up to now; call it regularly, for the rate."""
        now = monotonic()
        with self._lock:
            counts = self._counts.copy()
            sample = sorted(self._sample)
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
    """Return all that the display told, in one line."""
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
