"""Summarize a job log: outcomes, rates, durations of attempts, and the attempts that stand out.

One pass over the file. Held in memory are the durations (8 bytes an attempt), a row for each
hour, and the few attempts that stand out.
"""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import FlowError
from flowtools.core.times import instant

MOST = 10
"""Number of the slowest attempts, and of the most often retried events, that are listed."""

_HOUR = 3600


@dataclass
class Summary:
    """The figures of one job log.

    Attributes:
        outcomes: Events by their last outcome (attempts that were retried are not in it).
        retries: Attempts that were followed by another.
        hours: For each hour (seconds since the epoch of its beginning) the events by outcome.
        ran: Seconds that each attempt took.
        queued: Seconds that each event waited before its attempt.
        slowest: The attempts that took longest: seconds, id, subject, outcome.
        retried: The events with the most attempts: attempts, id, subject, outcome.
        workers: Events by the Worker that ran them; those of earlier versions, which do not say it,
            are not in it.
        unreadable: Lines that are not records of a job log.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    retries: int = 0
    hours: dict[int, Counter[str]] = field(default_factory=dict)
    ran: "array[float]" = field(default_factory=lambda: array("d"))
    queued: "array[float]" = field(default_factory=lambda: array("d"))
    slowest: list[tuple[float, str, str, str]] = field(default_factory=list)
    retried: list[tuple[int, str, str, str]] = field(default_factory=list)
    workers: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0

    def add(self, fields: dict[str, Any]) -> None:
        """Count one record.

        Raises:
            KeyError, TypeError, ValueError: It is not a record of a job log.
        """
        outcome, number = str(fields["outcome"]), int(fields["attempt"])
        ran, queued = float(fields["ran"]), float(fields["queued"])
        named = (str(fields.get("id") or "-"), str(fields.get("subject") or "-"), outcome)
        if outcome not in ("skipped", "invalid", "cancelled"):
            self.ran.append(ran)
            self.queued.append(queued)
            _keep(self.slowest, (ran, *named))
        if not fields["final"]:
            self.retries += 1
            return
        events = int(fields.get("events", 1))  # All events that --resume has skipped are one line.
        self.outcomes[outcome] += events
        if fields.get("worker"):
            self.workers[str(fields["worker"])] += events
        moment = instant(fields["finished"])
        if moment is not None:
            hour = int(moment // _HOUR) * _HOUR
            self.hours.setdefault(hour, Counter())[outcome] += events
        if number > 1:
            _keep(self.retried, (number, *named))


def _keep(most: list[Any], entry: Any) -> None:
    if len(most) < MOST:
        heapq.heappush(most, entry)
    elif entry > most[0]:
        heapq.heapreplace(most, entry)


def summarize(path: Path) -> Summary:
    """Read the job log at `path`.

    Raises:
        FlowError: It cannot be read, or is not a job log.
    """
    try:
        with path.open("rb") as lines:
            return _summary(lines, path)
    except OSError as error:
        raise FlowError(f"cannot read job log '{path}': {error.strerror}") from None


def _summary(lines: Iterable[bytes], path: Path) -> Summary:
    summary = Summary()
    for line in lines:
        try:
            summary.add(orjson.loads(line))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            summary.unreadable += bool(line.strip(b"\0\r\n "))
    if summary.unreadable and not summary.outcomes and not summary.retries:
        raise FlowError(f"'{path}' is not a job log: no line is a record of flow-work --joblog")
    summary.slowest.sort(reverse=True)
    summary.retried.sort(reverse=True)
    return summary


def percentile(values: "array[float]", share: float) -> float:
    """Return the value below which `share` (0 to 1) of the sorted `values` are; 0.0 of none."""
    if not values:
        return 0.0
    return values[min(len(values) - 1, int(share * len(values)))]
