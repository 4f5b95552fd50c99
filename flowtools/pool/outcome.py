"""What became of an attempt and of its event, and everything that depends on it.

`Outcome` is the one place that knows what an outcome means: whether `start` ran, whether the
event failed, what its source hears, which exception of a Worker leads to it. Everybody else
asks. A new outcome is one more member here: Python refuses a member that leaves a question
open, and mypy a wrong answer.

A `Failure` is made where the Worker runs, in its thread or in its process, within the attempt's
time: only there does the text of an exception, which is the Worker's code, run. From then on
the exception is not needed, and a Failure travels between processes as it is.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple, Self

from flowtools.core.errors import Status
from flowtools.core.event import Event
from flowtools.worker.description import describe, described, traceback_of
from flowtools.worker.exceptions import Reject, Retry, TimeLimit, Unavailable, seconds


class Answer(Enum):
    """What the source of an event hears about it."""

    ACK = "ack"
    NACK = "nack"
    NOTHING = "nothing"
    """So that the source delivers the event again."""


@dataclass(frozen=True, kw_only=True)
class Meaning:
    """What follows from an outcome.

    Attributes:
        ran: `start` was called.
        is_failure: The event failed; where the outcome is final, for good.
        is_done: The event needs no further work: --resume skips it, --pass forwards it.
        may_retry: Another attempt may end differently.
        answer: What the source hears where the outcome is final. A failure that --failed
            has kept is acknowledged all the same.
        pauses: No event can be done now: the pool pauses, and the attempt does not count.
        raised: The exception by which a Worker asks for this outcome; None: there is none.
    """

    ran: bool
    is_failure: bool
    is_done: bool
    may_retry: bool
    answer: Answer
    pauses: bool = False
    raised: type[Exception] | None = None


class Outcome(StrEnum):
    """How an attempt or an event ended; as text, the label that users see.

    Members are in the order in which counts of them are shown.
    """

    DONE = (
        "done",
        Meaning(ran=True, is_failure=False, is_done=True, may_retry=False, answer=Answer.ACK),
    )
    """`start` returned, and its results are written."""
    FAILED = (
        "failed",
        Meaning(ran=True, is_failure=True, is_done=False, may_retry=True, answer=Answer.NACK),
    )
    """`start` raised an exception that no other outcome names, or its process crashed."""
    TIMEOUT = (
        "timeout",
        Meaning(ran=True, is_failure=True, is_done=False, may_retry=True, answer=Answer.NACK),
    )
    """The time of the attempt was up."""
    REJECTED = (
        "rejected",
        Meaning(
            ran=True,
            is_failure=True,
            is_done=False,
            may_retry=False,
            answer=Answer.NACK,
            raised=Reject,
        ),
    )
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
        """Exit status of a pool where an event ended so."""
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
"""What an attempt that was not the last one is counted as."""


class Failure(NamedTuple):
    """Why an attempt has not done its event.

    Attributes:
        outcome: How the attempt ended.
        text: One line that says what went wrong.
        after: Seconds to wait before another attempt, where the Worker asks for one (Retry,
            Unavailable); 0.0: as long as the pool would; None: the Worker does not ask.
        traceback: Where that happened, as Python shows it; None where nobody wants to see it.
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
        """Return what the exception `error` of a Worker says; this may run the Worker's code.

        Exceptions of the classes `pausing` mean the same as Unavailable.

        Raises:
            TimeLimit: The time of the attempt is up meanwhile. Nothing else is raised.
        """
        traceback = traceback_of(error) if with_traceback else None
        try:
            outcome = Outcome.of(error)
            if outcome is Outcome.FAILED and isinstance(error, pausing):
                outcome = Outcome.UNAVAILABLE
            after = None
            if isinstance(error, (Retry, Unavailable)):
                after = seconds(error.after, "Retry" if isinstance(error, Retry) else "Unavailable")
        except TimeLimit:
            raise
        except BaseException as other:  # noqa: BLE001  the exception's own code has raised it
            return cls(Outcome.FAILED, describe(other), None, traceback)
        # Where the Worker itself decides, the line of its code is of no interest.
        is_decided = after is not None or outcome.raised is not None
        return cls(outcome, describe(error) if is_decided else described(error), after, traceback)


class Attempt(NamedTuple):
    """One attempt; every recorder gets it after its results have been written.

    Attributes:
        event: The event; None where the line could not be read as one.
        line: The input line, without its end.
        number: The line's place in the input, from 1.
        outcome: How it ended.
        attempt: 1 for the first attempt, 2 for the first retry.
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

    @property
    def counted_as(self) -> str:
        """The label under which it is counted: its outcome if that is final, else "retried"."""
        return self.outcome if self.final else RETRIED
