"""The outcome of an attempt and of its event, and everything that follows from it.

`Outcome` is the only place that knows what an outcome means: whether `start` ran, whether the event
failed, what its source is told, which exception of a Worker leads to it. Other code asks it. A new
outcome is one more member here. Python refuses a member whose meaning is incomplete, and mypy one
with a value of the wrong type.

A `Failure` is made where the Worker runs, in its thread or its process, and within the attempt's
time: making the text of an exception runs the Worker's code. Afterwards the exception is not needed
any more, and the Failure can be sent to another process.
"""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import NamedTuple, Self

from flowtools.core.errors import Status
from flowtools.core.event import Event
from flowtools.worker.description import describe, described, traceback_of
from flowtools.worker.exceptions import Reject, Retry, TimeLimit, Unavailable, seconds


class Answer(Enum):
    """The answer to the source of an event."""

    ACK = "ack"
    NACK = "nack"
    NOTHING = "nothing"
    """No answer, so that the source delivers the event again."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """The meaning of an outcome.

    Attributes:
        ran: Whether `start` was called.
        is_failure: Whether the event failed; permanently, if the outcome is final.
        is_done: Whether the event needs no further work: --resume skips it, --pass forwards it.
        may_retry: Whether another attempt may end differently.
        answer: The answer to the source if the outcome is final. A failure that --failed has kept
            is acknowledged instead.
        pauses: Whether no event can be done now: the pool pauses, and the attempt does not count.
        raised: The exception with which a Worker asks for this outcome; None if there is none.
    """

    ran: bool
    is_failure: bool
    is_done: bool
    may_retry: bool
    answer: Answer
    pauses: bool = False
    raised: type[Exception] | None = None


_FAILURE = Meaning(ran=True, is_failure=True, is_done=False, may_retry=True, answer=Answer.NACK)


class Outcome(StrEnum):
    """How an attempt or an event ended; as text, the label that users see.

    Members are in the order in which counts of them are shown.
    """

    DONE = (
        "done",
        Meaning(ran=True, is_failure=False, is_done=True, may_retry=False, answer=Answer.ACK),
    )
    """`start` returned, and its results are written."""
    FAILED = "failed", _FAILURE
    """`start` raised an exception that no other outcome names, or its process crashed."""
    TIMEOUT = "timeout", _FAILURE
    """The attempt took longer than its time-out."""
    REJECTED = "rejected", replace(_FAILURE, may_retry=False, raised=Reject)
    """The Worker raised Reject."""
    UNAVAILABLE = (
        "unavailable",
        Meaning(
            ran=True,
            is_failure=False,
            is_done=False,
            may_retry=True,
            answer=Answer.NOTHING,
            pauses=True,
            raised=Unavailable,
        ),
    )
    """The Worker raised Unavailable, or an exception that --pause-on names. Never final."""
    INVALID = (
        "invalid",
        Meaning(ran=False, is_failure=True, is_done=False, may_retry=False, answer=Answer.NACK),
    )
    """The line is not an event."""
    SKIPPED = (
        "skipped",
        Meaning(ran=False, is_failure=False, is_done=True, may_retry=False, answer=Answer.ACK),
    )
    """--resume knows the event as done."""
    CANCELLED = (
        "cancelled",
        Meaning(ran=False, is_failure=False, is_done=False, may_retry=True, answer=Answer.NOTHING),
    )
    """The pool ended before the event could be tried (again)."""

    ran: bool
    is_failure: bool
    is_done: bool
    may_retry: bool
    answer: Answer
    pauses: bool
    raised: type[Exception] | None

    def __new__(cls, label: str, meaning: Meaning) -> Self:
        """Make a member; its attributes are those of its meaning."""
        member = str.__new__(cls, label)
        member._value_ = label
        vars(member).update(vars(meaning))
        return member

    @property
    def status(self) -> Status:
        """The exit status of a pool in which an event ended with this outcome."""
        return Status.FAILED if self.is_failure else Status.DONE

    @property
    def counts_as_success(self) -> bool:
        """Whether --halt counts it as a success: the event was run, and is done."""
        return self.ran and self.is_done

    @classmethod
    def of(cls, error: BaseException) -> "Outcome":
        """Return the outcome of an attempt in which `start` raised `error`."""
        asked = (each for each in cls if each.raised is not None and isinstance(error, each.raised))
        return next(asked, cls.FAILED)


FAILURES = tuple(outcome for outcome in Outcome if outcome.is_failure)

RETRIED = "retried"
"""The label under which an attempt is counted that was not the last one of its event."""


class Failure(NamedTuple):
    """The reason why an attempt has not done its event.

    Attributes:
        outcome: How the attempt ended.
        text: The error, as one line.
        after: Seconds to wait before another attempt, if the Worker asks for one (Retry,
            Unavailable); 0.0: the pool's own wait; None: the Worker does not ask.
        traceback: The traceback as Python shows it; None if it is not to be shown.
    """

    outcome: Outcome
    text: str
    after: float | None = None
    traceback: str | None = None

    @classmethod
    def of(
        cls,
        error: BaseException,
        *,
        pausing: tuple[type[Exception], ...] = (),
        with_traceback: bool = False,
    ) -> "Failure":
        """Return the Failure for a Worker's exception `error`; this may run the Worker's code.

        Exceptions of the classes `pausing` count as Unavailable.

        Raises:
            TimeLimit: The attempt timed out meanwhile. Nothing else is raised.
        """
        traceback = traceback_of(error) if with_traceback else None
        try:
            outcome, after = _meaning(error, pausing)
        except TimeLimit:
            raise  # The watchdog's. It ends the attempt, and is not an error of this exception.
        except BaseException as other:  # noqa: BLE001  the exception's own code has raised it
            return cls(Outcome.FAILED, describe(other), None, traceback)
        # If the Worker itself chose the outcome, the line of its code does not matter.
        is_decided = after is not None or outcome.raised is not None
        return cls(outcome, describe(error) if is_decided else described(error), after, traceback)


def _meaning(
    error: BaseException, pausing: tuple[type[Exception], ...]
) -> tuple[Outcome, float | None]:
    """Return the outcome of `error`, and the wait that it asks for.

    An exception group, as asyncio.TaskGroup raises it, has the outcome of its members if that is
    the same for all of them; otherwise it is a failure like any other.
    """
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, pausing):
        members = [_meaning(each, pausing) for each in error.exceptions]
        waits = [after for _, after in members if after is not None]
        if len({(outcome, after is None) for outcome, after in members}) > 1:
            return Outcome.FAILED, None
        return members[0][0], max(waits, default=None)
    outcome = Outcome.of(error)
    if outcome is Outcome.FAILED and isinstance(error, pausing):
        outcome = Outcome.UNAVAILABLE
    after = None
    if isinstance(error, (Retry, Unavailable)):
        after = seconds(error.after, "Retry" if isinstance(error, Retry) else "Unavailable")
    return outcome, after


class Attempt(NamedTuple):
    """One attempt; every recorder gets it after its results have been written.

    Attributes:
        event: The event; None if the line could not be read as one.
        line: The input line, without its newline.
        number: The number of the line in the input, from 1.
        outcome: How the attempt ended.
        attempt: The number of the attempt: 1 for the first, 2 for the first retry.
        final: Whether no further attempt follows.
        queued: Seconds from the reading of the line (or the end of the back-off) to `start`.
        ran: Duration of `start`, in seconds.
        finished: The time at which it ended, in seconds since the epoch.
        error: The error, as one line; None if there was none.
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

    @property
    def counted_as(self) -> str:
        """The label under which it is counted: its outcome if final, otherwise "retried"."""
        return self.outcome if self.final else RETRIED
