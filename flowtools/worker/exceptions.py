"""Exceptions that a Worker raises on purpose, and the one that the pool raises in a Worker."""

from datetime import timedelta
from math import isfinite


class Retry(Exception):
    """Raised in `start`: this attempt has failed, and a later one may succeed."""

    after: float
    """Minimum delay in seconds; 0.0 means the delay that the pool chooses."""

    def __init__(
        self,
        reason: str = "the Worker asks for another attempt",
        after: float | str | timedelta = 0.0,
    ) -> None:
        """Ask for another attempt no earlier than `after` from now.

        Args:
            reason: Why; one line of text.
            after: Seconds, as a number or as text, such as that of the HTTP header Retry-After; or
                a timedelta. A negative value counts as 0.

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
        after: float | str | timedelta = 0.0,
    ) -> None:
        """Ask for a pause of at least `after`.

        Args:
            reason: Why; one line of text.
            after: Seconds as a number or as text, or a timedelta, as for Retry.

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
        ValueError: `after` is not a finite number, numeric text or a timedelta.
    """
    value = after.total_seconds() if isinstance(after, timedelta) else after
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise ValueError(
            f"invalid {name}(after={after!r}): expected seconds as a number or as text, or a"
            " timedelta"
        )
    return max(0.0, found)
