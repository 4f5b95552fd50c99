"""Exceptions that a Worker raises on purpose, and the one that the pool raises in a Worker."""

import time
from datetime import timedelta
from math import isfinite, nan

from flowtools.core.times import http_date


class Retry(Exception):
    """Raised in `start`: this attempt has failed, and a later one may succeed."""

    after: float
    """Minimum delay in seconds; 0.0 means the delay that the pool chooses."""

    def __init__(
        self,
        reason: str = "the Worker asks for another attempt",
        after: float | str | timedelta | None = None,
    ) -> None:
        """Ask for another attempt no earlier than `after` from now.

        Args:
            reason: Why; one line of text.
            after: Seconds, as a number; or a timedelta; or the text of the HTTP header Retry-After,
                which is seconds or a date (RFC 9110, 10.2.3). A negative value, and a date in the
                past, count as 0. None leaves the delay to the pool.

        Raises:
            ValueError: `after` is something else, or is not finite.
        """
        super().__init__(reason)
        self.after = seconds(after, "Retry")


class Unavailable(Exception):
    """Raised in `start`: a service that every event needs is down.

    The attempt does not count. The pool pauses, later tries one event, and resumes with all of them
    once that event is done.
    """

    after: float
    """Minimum pause in seconds; 0.0 means the pause that the pool chooses."""

    def __init__(
        self,
        reason: str = "the server behind the Worker is down",
        after: float | str | timedelta | None = None,
    ) -> None:
        """Ask for a pause of at least `after`.

        Args:
            reason: Why; one line of text.
            after: As for Retry; None leaves the pause to the pool.

        Raises:
            ValueError: `after` is something else, or is not finite.
        """
        super().__init__(reason)
        self.after = seconds(after, "Unavailable")


class Reject(Exception):
    """Raised in `start`: the event is bad, and further attempts would not help."""


class TimeLimit(BaseException):
    """Raised in a Worker's thread when the time of its attempt is up, or the pool must end.

    Not an Exception, so that a Worker's `except Exception` does not swallow it. It is raised
    between two bytecodes, wherever the Worker is; `finally` and `with` blocks run.
    """


def seconds(after: object, name: str) -> float:
    """Return the seconds that the exception `name` asks for, 0.0 or more.

    Raises:
        ValueError: `after` is not a finite number, numeric text, an HTTP date, a timedelta or None.
    """
    if after is None:
        return 0.0
    value = after.total_seconds() if isinstance(after, timedelta) else after
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = _until(value) if isinstance(value, str) else nan
    if not isfinite(found):
        raise ValueError(
            f"invalid {name}(after={after!r}): expected seconds as a number or as text, an HTTP"
            " date, a timedelta or None"
        )
    return max(0.0, found)


def _until(date: str) -> float:
    """Return the seconds until an HTTP date; NaN if `date` is not one."""
    moment = http_date(date)
    return nan if moment is None else moment - time.time()
