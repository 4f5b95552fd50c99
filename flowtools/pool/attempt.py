"""What became of one attempt at one event: what the job log, the metrics and people are told."""

from typing import Literal, NamedTuple

from flowtools.core.event import Event

Outcome = Literal["done", "failed", "timeout", "rejected", "invalid", "skipped", "cancelled"]
"""done: `start` returned. failed: it raised (or its process crashed). timeout: its time was
up. rejected: it raised Reject. invalid: the line is no event. skipped: --resume knew it as
done. cancelled: the pool ended before the event could be tried (again)."""


FAILURES: tuple[Outcome, ...] = ("failed", "timeout", "rejected", "invalid")
"""The outcomes of an event that is not done, and was tried or could not be read."""

RAN: tuple[Outcome, ...] = ("done", "failed", "timeout", "rejected")
"""The outcomes of an attempt at which `start` was called."""


class Attempt(NamedTuple):
    """One attempt, told to every recorder after its results have been written.

    Attributes:
        event: The event; None where the line could not be read as one.
        line: The input line, without its end.
        number: The line's place in the input, from 1.
        outcome: See Outcome.
        attempt: 1 for the first try, 2 for the first retry.
        final: No further attempt follows.
        queued: Seconds from the reading of the line (or the end of the back-off) to `start`.
        ran: Seconds that `start` took.
        finished: When it ended, in seconds since the epoch.
        error: One line that says what went wrong; None where nothing did.
    """

    event: Event | None
    line: bytes
    number: int
    outcome: Outcome
    attempt: int
    final: bool
    queued: float
    ran: float
    finished: float
    error: str | None
