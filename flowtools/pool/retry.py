"""When a failed event is tried again."""

from dataclasses import dataclass

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

    def delay(self, attempt: int, error: BaseException | None) -> float | None:
        """Return the seconds to wait after `attempt` failed with `error`; None: it was the last.

        The wait is drawn from the upper half of its range, so that events which failed
        together do not come back together. A Retry with `after` waits that long.
        """
        # Here, so that the defaults above can be read without loading anything else.
        from flowtools.worker.contract import Reject, Retry

        if isinstance(error, Reject):
            return None
        asked = isinstance(error, Retry)
        if attempt > (self.retries or (ASKED_RETRIES if asked else 0)):
            return None
        import random  # Not at the top: most runs retry nothing, and all start quicker.

        # The exponent is bounded: 2.0 ** 1024 overflows.
        ceiling = min(self.max_backoff, self.backoff * 2.0 ** min(attempt - 1, 60))
        jittered = ceiling * random.uniform(0.5, 1.0)  # noqa: S311  no secret
        if isinstance(error, Retry) and error.after > 0:
            return error.after
        return jittered
