"""--rate, --key-rate, --halt: how fast events may start, and when a pool ends early."""

import re
from collections import Counter
from threading import Lock
from typing import Literal

from flowtools.core.errors import UsageError
from flowtools.core.log import get_log
from flowtools.pool.outcome import Attempt

log = get_log("flowtools.pool")

When = Literal["soon", "now"]
Why = Literal["fail", "success", "done"]

MIN_FOR_SHARE = 3
"""Events that must have counted before a percentage of an unknown total does."""

_SHORT = {
    "0": "never",
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}
_EXPRESSION = re.compile(r"(soon|now),(fail|success|done)=([0-9]{1,18})(%?)")


class Halt:
    """Counts how events end, and says when that is enough. Safe from any thread.

    soon: take no further event and let the running ones end; now: cancel those, too.
    fail counts events that failed for good, success those that are done, done both. What
    --resume skipped, or the end of the pool cut short, counts nowhere.

    P% is of all events of the input, as in GNU parallel, which reads all of it for that. Where
    the end of the input is not known yet, it is of the events that have ended so far, once these
    are enough: at least 100/P, so that the share of one is no larger than P%, of which
    MIN_FOR_SHARE have counted. done=P% waits for the end of the input.

    Attributes:
        wants_total: It is to be told how many events the input has, once that is known.
        is_success: A success was asked for, and it has come: failures before it do not count.
    """

    def __init__(
        self, when: When | None, why: Why = "fail", count: int = 0, percent: int = 0
    ) -> None:
        """Halt at `count` events that ended in the way of `why`, or at `percent` of all.

        `when` is None to never halt; one of `count` and `percent` is 0.
        """
        self._when = when
        self._why = why
        self._count = count
        self._percent = percent
        self.wants_total = percent > 0
        self.is_success = False
        self._total: int | None = None
        self._skipped = 0
        self._ended: Counter[str] = Counter()
        self._lock = Lock()

    @classmethod
    def parse(cls, text: str) -> "Halt":
        """Read `never`, `soon,fail=3`, `now,fail=10%`, `soon,success=1`, `now,done=50%` ...

        GNU parallel's short forms 0, 1, 2, -1, -2 and N% (soon,fail=N%) are read, too.

        Raises:
            UsageError: It is none of these.
        """
        full = _SHORT.get(text, text)
        if re.fullmatch(r"[0-9]+%", full):
            full = f"soon,fail={full}"
        if full == "never":
            return cls(None)
        found = _EXPRESSION.fullmatch(full)
        if not found:
            raise UsageError(
                f"'{text}' is not a condition to halt: expected never, soon,fail=N, now,fail=N, "
                "soon,fail=P% or now,fail=P%; also with success and with done"
            )
        when, why, number = found[1], found[2], int(found[3])
        if found[4]:
            if not 1 <= number <= 100:
                raise UsageError(f"'{text}': a percentage must be from 1 to 100")
            return cls(when, why, percent=number)  # type: ignore[arg-type]
        if number < 1:
            raise UsageError(
                f"'{text}': the number of events must be at least 1; to never halt, write never"
            )
        return cls(when, why, count=number)  # type: ignore[arg-type]

    def note_total(self, total: int) -> None:
        """Take note that the input has `total` events, those included that --resume skips."""
        with self._lock:
            self._total = total

    def record(self, attempt: Attempt) -> When | None:
        """Take note of an attempt; return "soon" or "now" when the pool is to end."""
        kind: Why
        if self._when is None or not attempt.final:
            return None
        if attempt.outcome.counts_as_success:
            kind = "success"
        elif attempt.outcome.is_failure:
            kind = "fail"
        else:
            with self._lock:
                self._skipped += attempt.outcome.is_done
            return None
        with self._lock:
            self._ended[kind] += 1
            self._ended["done"] += 1
            if self._why not in (kind, "done") or not self._is_enough():
                return None
            self.is_success = self._why == "success"
            return self._when

    def _is_enough(self) -> bool:
        counted, ended = self._ended[self._why], self._ended["done"]
        if self._count:
            return counted >= self._count
        if self._total is not None:
            return counted * 100 >= self._percent * (self._total - self._skipped)
        if self._why == "done" or counted < MIN_FOR_SHARE or ended * self._percent < 100:
            return False
        return counted * 100 >= self._percent * ended


CREDIT = 0.1
"""Seconds that the pool may be behind its beat and still catch up. A thread always wakes a
little late; without a credit every such delay would lower the rate for good. With it, at
most a tenth of a second's worth of events start at once after an idle time."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/([smh])")


class Rate:
    """Spaces starts evenly. Safe from any thread.

    No second ever holds more than 1.1 seconds' worth of starts and one.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._next = float("-inf")
        self._lock = Lock()

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read `10/s`, `600/m` or `3600/h`; the number may have a fraction.

        Raises:
            UsageError: It has another form, or the number is 0.
        """
        return cls(_per_second(text))

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds after `now` it is.

        Args:
            now: In seconds of `time.monotonic()`.
        """
        with self._lock:
            start = max(self._next, now - CREDIT)
            self._next = start + self._interval
        return max(0.0, start - now)


MOST_KEYS = 100_000
"""Keys whose next start is remembered, in some 15 MB; --key-rate needs that until it has come."""


class KeyRate:
    """Spaces the starts of each key evenly, as Rate does those of all. Not thread-safe."""

    def __init__(self, per_second: float, most: int = MOST_KEYS) -> None:
        self._interval = 1.0 / per_second
        self._most = most
        self._next: dict[str, float] = {}
        self._has_warned = False

    @classmethod
    def parse(cls, text: str) -> "KeyRate":
        """Read what Rate reads.

        Raises:
            UsageError: It has another form, or the number is 0.
        """
        return cls(_per_second(text))

    def wait_time(self, key: str, now: float) -> float:
        """Reserve the next start of `key` and return how many seconds after `now` it is.

        Args:
            key: The key.
            now: In seconds of `time.monotonic()`.
        """
        start = max(self._next.get(key, float("-inf")), now - CREDIT)
        self._next[key] = start + self._interval
        if len(self._next) > self._most:
            self._tidy(now)
        return max(0.0, start - now)

    def _tidy(self, now: float) -> None:
        """Forget the keys that may start at any time, and beyond `most` those that soon may."""
        kept = {key: due for key, due in self._next.items() if due > now - CREDIT}
        if len(kept) > self._most // 2:  # Else a look at all of them would follow soon.
            if not self._has_warned:
                log.warning(
                    "--key-rate: more than %d keys wait for their next start; some are forgotten,"
                    " and may start earlier",
                    len(kept),
                )
                self._has_warned = True
            latest = sorted(kept.items(), key=lambda each: each[1])[len(kept) // 2 :]
            kept = dict(latest)
        self._next = kept


def _per_second(text: str) -> float:
    found = _RATE.fullmatch(text)
    if not found or float(found[1]) == 0:
        raise UsageError(f"'{text}' is not a rate: expected N/s, N/m or N/h, such as 10/s")
    return float(found[1]) / _UNITS[found[2]]
