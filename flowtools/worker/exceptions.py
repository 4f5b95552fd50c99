"""What a Worker raises on purpose, and what the pool raises in a Worker."""

from datetime import timedelta
from math import isfinite


class Retry(Exception):
    """Raised in `start`: this attempt is void, try the event again."""

    after: float
    """Seconds to wait, at least; 0.0: as long as the pool would by itself."""

    def __init__(
        self,
        reason: str = "the Worker asks for another try",
        after: float | str | timedelta = 0.0,
    ) -> None:
        """Ask for another attempt no earlier than `after` from now.

        Args:
            reason: Why; one line of text.
            after: Seconds as a number, or as text such as the header Retry-After holds, or a
                timedelta; what lies in the past counts as 0.

        Raises:
            ValueError: `after` is something else, or is not finite.
        """
        super().__init__(reason)
        self.after = seconds(after, "Retry")


class Unavailable(Exception):
    """Raised in `start`: what stands behind the Worker is down, for this event and all others.

    The attempt does not count. The pool pauses, tries one event again later, and goes on with
    all of them once that is done.
    """

    after: float
    """Seconds to pause, at least; 0.0: as long as the pool would by itself."""

    def __init__(
        self,
        reason: str = "what stands behind the Worker is down",
        *,
        after: float | str | timedelta = 0.0,
    ) -> None:
        """Ask for a pause of at least `after`.

        Args:
            reason: Why; one line of text.
            after: As Retry takes it.

        Raises:
            ValueError: `after` is something else, or is not finite.
        """
        super().__init__(reason)
        self.after = seconds(after, "Unavailable")


class Reject(Exception):
    """Raised in `start`: the event is bad, and no further attempt will help."""


class TimeLimit(BaseException):
    """Raised in a Worker's thread when the time of its attempt is up, or the pool must end.

    Not an Exception, so that a Worker's `except Exception` does not swallow it. It comes
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
