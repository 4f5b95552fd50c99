"""--rate: how fast events may start."""

import re
from threading import Lock

from flowtools.core.errors import UsageError

CREDIT = 0.1
"""Seconds that the pool may be behind its beat and still catch up. A thread always wakes a
little late; without a credit every such delay would lower the rate for good. With it, at
most a tenth of a second's worth of events start at once after an idle time."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_EXPRESSION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)/([smh])")


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
        found = _EXPRESSION.fullmatch(text)
        if not found or float(found[1]) == 0:
            raise UsageError(
                f"'{text}' is no rate: write how many a second, such as 10/s, /m or /h"
            )
        return cls(float(found[1]) / _UNITS[found[2]])

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds after `now` it is.

        Args:
            now: In seconds of `time.monotonic()`.
        """
        with self._lock:
            start = max(self._next, now - CREDIT)
            self._next = start + self._interval
        return max(0.0, start - now)
