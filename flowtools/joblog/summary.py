"""Summarizes a job log: outcomes, durations of attempts, events by hour, and extreme attempts.

The file is read once, line by line. The memory holds the two durations of each attempt (8 bytes
each), a row for each hour, and the few attempts that are listed: 16 MB for a million attempts.
"""

import heapq
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import FlowError
from flowtools.core.times import instant

MOST = 10
"""Maximum number of slowest attempts, and of most often retried events, that are listed."""

MOST_COUNT = 2**53
"""Limit of a number of events or attempts in a record."""

MOST_SECONDS = 1e10
"""Limit of a duration in a record, in seconds."""

_HOUR = 3600


@dataclass
class Summary:
    """The figures of one job log.

    Attributes:
        outcomes: Number of events by their last outcome; attempts that were retried do not count.
        retries: Number of attempts that were followed by another attempt.
        hours: Number of events by outcome, for each hour (its beginning, in seconds since the
            epoch).
        ran: Duration of each attempt, in seconds.
        queued: Time that each event waited before its attempt, in seconds.
        slowest: The longest attempts: seconds, id, subject, outcome.
        retried: The events with the most attempts: attempts, id, subject, outcome.
        workers: Number of events by the Worker that ran them. Job logs of earlier versions do not
            name the Worker; their events are missing here.
        unreadable: Number of lines that are not records of a job log.
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
        """Count one line of a job log, given as its JSON object.

        Raises:
            ValueError: The object is not a record of a job log; nothing is counted.
        """
        if not _is_record(fields):
            raise ValueError("not a record of a job log")
        outcome, number = fields["outcome"], fields["attempt"]
        ran, queued = float(fields["ran"]), float(fields["queued"])
        named = (str(fields.get("id") or "-"), str(fields.get("subject") or "-"), outcome)
        # These outcomes are written without a call of `start`, so their durations mean nothing.
        if outcome not in ("skipped", "invalid", "cancelled"):
            self.ran.append(ran)
            self.queued.append(queued)
            _keep(self.slowest, (ran, *named))
        if not fields["final"]:
            self.retries += 1
            return
        # --resume writes one line for all the events that it has skipped, with their number.
        events = fields.get("events", 1)
        self.outcomes[outcome] += events
        if fields.get("worker"):
            self.workers[str(fields["worker"])] += events
        moment = instant(fields["finished"])
        if moment is not None:
            hour = int(moment // _HOUR) * _HOUR
            self.hours.setdefault(hour, Counter())[outcome] += events
        if number > 1:
            _keep(self.retried, (number, *named))


def _is_record(fields: object) -> bool:
    """Return whether a JSON value is a record: another program may have damaged the file."""
    if not isinstance(fields, dict):
        return False
    texts = (fields.get("outcome"), fields.get("finished"))
    counts = (fields.get("attempt"), fields.get("events", 1))
    times = (fields.get("ran"), fields.get("queued"))
    return (
        all(isinstance(each, str) for each in texts)
        and all(_is_within(each, MOST_COUNT, int) for each in counts)
        and all(_is_within(each, MOST_SECONDS, int, float) for each in times)
        and isinstance(fields.get("final"), bool)
    )


def _is_within(value: Any, most: float, *kinds: type) -> bool:
    return type(value) in kinds and 0 <= value < most  # A truth value is not a number.


def _keep(most: list[Any], entry: Any) -> None:
    if len(most) < MOST:
        heapq.heappush(most, entry)
    elif entry > most[0]:
        heapq.heapreplace(most, entry)


def summarize(path: Path) -> Summary:
    """Return the summary of the job log at `path`.

    Raises:
        FlowError: The file cannot be read, or is not a job log.
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
        except ValueError:  # Not JSON, or not a record.
            # A loss of power may leave a run of zero bytes, which is not worth a complaint.
            summary.unreadable += bool(line.strip(b"\0\r\n "))
    # Single unreadable lines are counted and shown; a file without any record is the wrong file.
    if summary.unreadable and not summary.outcomes and not summary.retries:
        raise FlowError(f"'{path}' is not a job log: no line is a record of flow-work --joblog")
    summary.slowest.sort(reverse=True)
    summary.retried.sort(reverse=True)
    return summary


def percentile(values: "array[float]", share: float) -> float:
    """Return the smallest of the sorted `values` that a `share` (0 to 1) of them does not exceed.

    This is the nearest rank, a value that occurs; 0.0 if there are none.
    """
    if not values:
        return 0.0
    return values[max(0, ceil(share * len(values)) - 1)]
