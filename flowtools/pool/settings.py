"""How a pool behaves, and the parts that plug into it.

The defaults of the options of flow-work and flow-run are those of the fields here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from flowtools.core.settings import Ending, Reading

if TYPE_CHECKING:
    from pathlib import Path

    from flowtools.ack.records import Reason
    from flowtools.core.event import Event
    from flowtools.pool.outcome import Attempt, Failure


class Recorder(Protocol):
    """Is told of every attempt: the job log, the metrics, the display."""

    def record(self, attempt: "Attempt") -> None:
        """Take note of `attempt`; called from any thread.

        Raises:
            FlowError: It cannot be noted; the pool then drains and ends with this error.
        """


class Acknowledger(Protocol):
    """Tells the source of an event, by its `ackto` attribute, what became of it."""

    def ack(self, ackto: str) -> None:
        """The event is taken care of."""

    def nack(self, ackto: str, reason: "Reason | None" = None) -> None:
        """The event failed for good, for this reason."""


class Carrier(Protocol):
    """Hands the duty to acknowledge an event on to lines; flowtools.ack.relay.Relay is one."""

    def carry(self, ackto: str, lines: int) -> list[str]:
        """Return the `ackto` of each of the `lines` made of an event; with none it is done.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: There is no place for a socket.
        """


class Failures(Protocol):
    """Keeps the lines of events that failed for good."""

    def write(self, attempt: "Attempt") -> None:
        """Keep the line of `attempt`; on return it is in the file.

        Raises:
            FlowError: It could not be written.
        """


class Known(Protocol):
    """The events that are done already."""

    def __len__(self) -> int:
        """Return how many they are."""

    def __contains__(self, event: object) -> bool:
        """Return whether `event` is one of them."""


class Pace(Protocol):
    """A limit on how fast events may start."""

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds away it is."""


class KeyPace(Protocol):
    """A limit on how fast events of one key may start."""

    def wait_time(self, key: str, now: float) -> float:
        """Reserve the next start of `key` and return how many seconds away it is."""


class Halting(Protocol):
    """Says when a pool ends before its input does; flowtools.pool.limits.Halt is one."""

    wants_total: bool
    """It is to be told how many events the input has, once that is known."""
    is_success: bool
    """The pool has ended as was asked for, whatever failed before."""

    def record(self, attempt: "Attempt") -> str | None:
        """Take note of `attempt`; return "soon" or "now" when the pool is to end."""

    def note_total(self, total: int) -> None:
        """Take note that the input has so many events."""


BATCH, LINGER = 100, 1.0
"""Events of a batch, and seconds for which it waits for more, where nothing else is said."""

ASKED_RETRIES = 10
"""Further attempts that a Worker's own Retry gets where --retries says nothing."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter.

    Attributes:
        retries: Further attempts after a failure.
        backoff: Seconds before the first of them; doubled for each one after.
        max_backoff: Seconds that no wait exceeds, but one that a Retry asks for.
        retry_until: Seconds since an event came into being after which no attempt begins; until
            then there are as many as there is time for. None: `retries` counts.
    """

    retries: int = 0
    backoff: float = 1.0
    max_backoff: float = 300.0
    retry_until: float | None = None

    def delay(self, attempt: int, failure: "Failure", age: float = 0.0) -> float | None:
        """Return the seconds to wait after attempt number `attempt`; None: it was the last.

        `age`: how many seconds old the event is.
        The wait is drawn from the upper half of its range, so that events which failed
        together do not come back together. A Retry with `after` waits that long.
        """
        if not failure.outcome.may_retry:
            return None
        if self.retry_until is not None:
            left = self.retry_until - age
            if left <= 0 or (failure.after or 0.0) > left:
                return None
            return min(failure.after or self.wait(attempt), left)  # The last one is in time.
        asked = failure.after is not None
        if attempt > (self.retries or (ASKED_RETRIES if asked else 0)):
            return None
        return failure.after or self.wait(attempt)

    def wait(self, number: int) -> float:
        """Return the seconds of the wait with this `number`, from 1."""
        import random  # Not at the top: most runs retry nothing, and all start quicker.

        # The exponent is bounded: 2.0 ** 1024 overflows.
        ceiling = min(self.max_backoff, self.backoff * 2.0 ** min(number - 1, 60))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  no secret


@dataclass(frozen=True, kw_only=True)
class Settings(Ending):
    """How the pool behaves.

    Attributes:
        threads: Width of the pool.
        timeout: Seconds that one attempt may take; 0 for no limit.
        grace: Seconds that a Worker has to end once it is told that its time is up.
        drain: Seconds that running events have to end after a signal.
        max_abandoned: Stuck threads at which the pool drains and ends; None: see
            `most_abandoned`.
        batch: Events that a Worker with `start_many` gets at once, at most; None: it gets
            single events, or nothing has been said.
        linger: Seconds for which a batch waits for more, from when its first event came;
            None: LINGER.
        retry: When a failed event is tried again.
        key: Gives the key whose events run `per_key` at a time; one at a time, in order.
        per_key: How many that are.
        key_rate: Limits the starts of each key.
        pace: Limits the starts.
        halt: Says when the pool is to end early.
        done: Events that a job log has as done: not run again.
        known: Says whether an event is known as done by --once, and not run again.
        pass_on: Write each event on after success, with the duty to acknowledge it.
        relay: Hand the duty to acknowledge an event on to its results.
        worker: Name of what runs, MODULE:CLASS, for whoever is told of a failure.
        command: What stands in front of a report of the pool's state.
    """

    threads: int = 1
    timeout: float = 60.0
    max_abandoned: int | None = None
    batch: int | None = None
    linger: float | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    key: "Callable[[Event], str | None] | None" = None
    per_key: int = 1
    key_rate: KeyPace | None = None
    pace: Pace | None = None
    halt: Halting | None = None
    done: Known = ()
    known: "Callable[[Event], bool] | None" = None
    pass_on: bool = False
    relay: bool = False
    worker: str = ""
    command: str = "flow-work"

    @property
    def most_abandoned(self) -> int:
        """`max_abandoned`, or its default, which depends on the width of the pool."""
        return self.max_abandoned or max(32, 2 * self.threads)

    def is_done(self, event: "Event") -> bool:
        """Return whether an earlier run has done `event`."""
        return event in self.done or (self.known is not None and self.known(event))


@dataclass(frozen=True, kw_only=True)
class Choice(Reading):
    """What flow-work and flow-run were asked for; flow-work(1) explains each option.

    Attributes:
        worker: The Worker, as MODULE:CLASS.
        pool: How its pool behaves.
        pause_on: Exceptions of a Worker that mean the same as Unavailable, each MODULE:CLASS.
        isolation: Whether the Worker runs in threads of this process, or in others.
        recycle: Events after which a process of the Worker is replaced; None: never.
        recycle_memory: MiB of resident memory beyond which it is; None: never.
        keep_order: Write results in the order of the input.
        no_ack: Acknowledge nothing: the lines are copies that others settle.
        joblog: The file that has a line for each attempt.
        resume: Skip what the job log has as done.
        once: The database with the ids of events that have been done.
        once_age: Seconds for which it keeps them.
        failed: The file that keeps the lines of events that failed for good.
        config: The INI file with the Worker's settings.
        settings: More of them, each SECTION.KEY=VALUE.
        max_line: Bytes that an input line may have.
        progress: Show how far it is, on stderr.
        metrics: Where to serve metrics, as HOST:PORT.
        dry_run: Check the Worker and the lines, and run nothing.
    """

    worker: str
    pool: Settings = field(default_factory=Settings)
    pause_on: tuple[str, ...] = ()
    isolation: Literal["thread", "process"] = "thread"
    recycle: int | None = None
    recycle_memory: float | None = None
    keep_order: bool = False
    no_ack: bool = False
    joblog: "Path | None" = None
    resume: bool = False
    once: "Path | None" = None
    once_age: float = 7 * 86400.0
    failed: "Path | None" = None
    config: "Path | None" = None
    settings: tuple[str, ...] = ()
    progress: bool = False
    metrics: str | None = None
    dry_run: bool = False
