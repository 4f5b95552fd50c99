"""--rate and --key-rate limit how fast events start; --halt ends a pool early.

A limit never waits itself: `wait_time` reserves the next start and returns how far away it is. With
--rate the thread that took the event waits; with --key-rate the event waits in the backlog, and its
thread takes another one. The settlement asks Halt after each event, and then ends the pool.
"""

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
"""Minimum number of counted events before a percentage applies while the total is unknown."""

_SHORT = {
    "0": "never",
    "1": "soon,fail=1",
    "2": "now,fail=1",
    "-1": "soon,success=1",
    "-2": "now,success=1",
}
_EXPRESSION = re.compile(r"(soon|now),(fail|success|done)=([0-9]{1,18})(%?)")


class Halt:
    """Counts how events end, and decides when the pool halts. Safe from any thread.

    `soon` takes no further event and lets the running ones end; `now` cancels these, too. `fail`
    counts events that failed permanently, `success` those that are done, `done` both. Events that
    --resume skipped or that the end of the pool cut short do not count.

    P% refers to all events of the input, as in GNU parallel, which reads the whole input for that.
    While the end of the input is not known, it refers to the events that have ended so far, once
    there are enough: at least 100/P events must have ended, so that one event is not more than P%,
    and MIN_FOR_SHARE must have counted. done=P% waits for the end of the input.

    Attributes:
        wants_total: Whether `note_total` has to be called once the number of events is known.
        is_success: Whether the requested success has come, so that failures before it do not
            count.
    """

    def __init__(
        self, when: When | None, why: Why = "fail", count: int = 0, percent: int = 0
    ) -> None:
        """Halt when `count` events, or `percent` of all, have ended in the way `why` names.

        `when` is None to never halt. One of `count` and `percent` is 0.
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

        GNU parallel's short forms 0, 1, 2, -1, -2 and N% (soon,fail=N%) are accepted, too.

        Raises:
            UsageError: `text` is malformed.
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
        """Note that the input has `total` events, including those that --resume skips."""
        with self._lock:
            self._total = total

    def record(self, attempt: Attempt) -> When | None:
        """Count an attempt; return "soon" or "now" if the pool has to end, otherwise None."""
        kind: Why
        if self._when is None or not attempt.final:
            return None
        if attempt.outcome.counts_as_success:
            kind = "success"
        elif attempt.outcome.is_failure:
            kind = "fail"
        else:
            # Skipped events are in the total, so they have to be taken out of it for a percentage.
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
        # Products of whole numbers: a quotient could be rounded to just below the percentage.
        if self._total is not None:
            return counted * 100 >= self._percent * (self._total - self._skipped)
        if self._why == "done" or counted < MIN_FOR_SHARE or ended * self._percent < 100:
            return False
        return counted * 100 >= self._percent * ended


CREDIT = 0.1
"""Maximum delay, in seconds, that the pool may make up for. A thread always wakes a little late;
without this credit every such delay would lower the rate permanently. With it, at most a tenth of a
second's worth of events start at once after an idle time."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/([smh])")


class Rate:
    """Spaces starts evenly. Safe from any thread.

    No second ever has more starts than 1.1 times the rate, plus one.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._next = float("-inf")
        self._lock = Lock()

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read `10/s`, `600/m` or `3600/h`; the number may have a fraction.

        Raises:
            UsageError: `text` is malformed, or the number is 0.
        """
        return cls(_per_second(text))

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds after `now` it is.

        Args:
            now: In seconds of `time.monotonic()`.
        """
        with self._lock:
            # Not `now`: a start that came late must not delay all that follow (CREDIT).
            start = max(self._next, now - CREDIT)
            self._next = start + self._interval
        return max(0.0, start - now)


MOST_KEYS = 100_000
"""Maximum number of keys whose next start is remembered, in some 15 MB."""


class KeyRate:
    """Spaces the starts of each key evenly, as Rate does for all events. Not thread-safe."""

    def __init__(self, per_second: float, most: int = MOST_KEYS) -> None:
        self._interval = 1.0 / per_second
        self._most = most
        self._next: dict[str, float] = {}
        self._has_warned = False

    @classmethod
    def parse(cls, text: str) -> "KeyRate":
        """Read the same forms as Rate.

        Raises:
            UsageError: `text` is malformed, or the number is 0.
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
        """Forget the keys that may start now; if too many are left, also those due soonest."""
        kept = {key: due for key, due in self._next.items() if due > now - CREDIT}
        if len(kept) > self._most // 2:  # Otherwise `_tidy` would be called again very soon.
            if not self._has_warned:
                log.warning(
                    "--key-rate: more than %d keys wait for their next start; some are forgotten,"
                    " and may start earlier",
                    len(kept),
                )
                self._has_warned = True
            # A key that may start soon anyway loses the least when it is forgotten.
            latest = sorted(kept.items(), key=lambda each: each[1])[len(kept) // 2 :]
            kept = dict(latest)
        self._next = kept


def _per_second(text: str) -> float:
    found = _RATE.fullmatch(text)
    if not found or float(found[1]) == 0:
        raise UsageError(f"'{text}' is not a rate: expected N/s, N/m or N/h, such as 10/s")
    return float(found[1]) / _UNITS[found[2]]
