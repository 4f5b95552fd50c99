"""When a failed event is tried again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtools.pool.outcome import Failure

ASKED_RETRIES = 10
"""Further attempts that a Worker's own Retry gets where --retries says nothing."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter.

    Attributes:
        retries: Further attempts after a failure.
        backoff: Seconds before the first of them; doubled for each one after.
        max_backoff: Seconds that no wait exceeds, but one that a Retry asks for.
    """

    retries: int = 0
    backoff: float = 1.0
    max_backoff: float = 300.0

    def delay(self, attempt: int, failure: "Failure") -> float | None:
        """Return the seconds to wait after attempt number `attempt`; None: it was the last.

        The wait is drawn from the upper half of its range, so that events which failed
        together do not come back together. A Retry with `after` waits that long.
        """
        asked = failure.after is not None
        allowed = self.retries or (ASKED_RETRIES if asked else 0)
        if not failure.outcome.may_retry or attempt > allowed:
            return None
        if failure.after:
            return failure.after
        import random  # Not at the top: most runs retry nothing, and all start quicker.

        # The exponent is bounded: 2.0 ** 1024 overflows.
        ceiling = min(self.max_backoff, self.backoff * 2.0 ** min(attempt - 1, 60))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  no secret
