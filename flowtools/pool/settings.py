"""The settings of a pool, and the protocols of the parts that plug into it.

The fields here hold the defaults of the options of flow-work and flow-run.
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
    """Records every attempt: the job log, the metrics, the display."""

    def record(self, attempt: "Attempt") -> None:
        """Record `attempt`; called from any thread.

        Raises:
            FlowError: `attempt` cannot be recorded; the pool then drains and ends with this error.
        """


class Acknowledger(Protocol):
    """Acknowledges or rejects events at their source, by their `ackto` attribute."""

    def ack(self, ackto: str) -> None:
        """Tell the source that the event is done."""

    def nack(self, ackto: str, reason: "Reason | None" = None) -> None:
        """Tell the source that the event has failed permanently, and why."""


class Carrier(Protocol):
    """Passes the duty to acknowledge on to lines, as flowtools.ack.relay.Relay does."""

    def carry(self, ackto: str, lines: int) -> list[str]:
        """Return an `ackto` for each of the `lines` made of an event; 0 lines acknowledge it.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: The socket cannot be made.
        """


class Failures(Protocol):
    """Keeps the lines of events that failed permanently."""

    def write(self, attempt: "Attempt") -> None:
        """Keep the line of `attempt`; on return it is in the file.

        Raises:
            FlowError: The line could not be written.
        """


class Known(Protocol):
    """The events that are done already."""

    def __len__(self) -> int:
        """Return the number of events."""

    def __contains__(self, event: object) -> bool:
        """Return whether `event` is done already."""


class Pace(Protocol):
    """A limit on how fast events may start."""

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds away it is."""


class KeyPace(Protocol):
    """A limit on how fast events of one key may start."""

    def wait_time(self, key: str, now: float) -> float:
        """Reserve the next start of `key` and return how many seconds away it is."""


class Halting(Protocol):
    """Decides when a pool ends before its input does, as flowtools.pool.limits.Halt does."""

    wants_total: bool
    """Whether `note_total` has to be called once the number of events is known."""
    is_success: bool
    """Whether the pool has ended as requested, so that failures before do not count."""

    def record(self, attempt: "Attempt") -> str | None:
        """Count `attempt`; return "soon" or "now" if the pool has to end."""

    def note_total(self, total: int) -> None:
        """Note that the input has `total` events."""


BATCH, LINGER = 100, 1.0
"""Default maximum of events in a batch, and default seconds for which it waits for more."""

ASKED_RETRIES = 10
"""Maximum number of further attempts after a Worker's own Retry if --retries is 0."""


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter.

    Attributes:
        retries: Maximum number of further attempts after a failure.
        backoff: Seconds before the first of them; doubled for each one after.
        max_backoff: Upper limit of the wait, in seconds; not applied to Retry(after).
        retry_until: Age of an event, in seconds, after which no attempt begins. Until then the
            number of attempts is not limited. None: `retries` is the limit.
    """

    retries: int = 0
    backoff: float = 1.0
    max_backoff: float = 300.0
    retry_until: float | None = None

    def delay(self, attempt: int, failure: "Failure", age: float = 0.0) -> float | None:
        """Return the seconds to wait after attempt number `attempt`; None: it was the last.

        `age` is the age of the event in seconds.
        The wait is drawn at random from the upper half of its range, so that events that failed
        together are not tried again together. A Retry with `after` waits that long.
        """
        if not failure.outcome.may_retry:
            return None
        if self.retry_until is not None:
            left = self.retry_until - age
            if left <= 0 or (failure.after or 0.0) > left:
                return None
            # Not longer than `left`, so that the last attempt still begins in time.
            return min(failure.after or self.wait(attempt), left)
        asked = failure.after is not None
        if attempt > (self.retries or (ASKED_RETRIES if asked else 0)):
            return None
        return failure.after or self.wait(attempt)

    def wait(self, number: int) -> float:
        """Return the seconds of wait number `number`, from 1."""
        import random  # Imported late: most runs retry nothing, and all start quicker.

        # The exponent is bounded: 2.0 ** 1024 overflows.
        ceiling = min(self.max_backoff, self.backoff * 2.0 ** min(number - 1, 60))
        return ceiling * random.uniform(0.5, 1.0)  # noqa: S311  no secret


@dataclass(frozen=True, kw_only=True)
class Settings(Ending):
    """The settings of a pool.

    Attributes:
        threads: The number of threads (-j).
        timeout: Maximum duration of one attempt, in seconds; 0: no limit.
        grace: Seconds for a Worker to end after it has been interrupted at its time-out.
        drain: Seconds for running events to end after a signal.
        max_abandoned: Number of stuck threads at which the pool drains and ends; None: the default
            of `most_abandoned`.
        batch: Maximum number of events that a Worker with `start_many` gets at once; None: the
            option was not given, or the Worker takes single events.
        linger: Seconds for which a batch waits for more events after its first one; None: LINGER.
        retry: The policy for trying failed events again.
        key: Returns an event's key; of each key, `per_key` events run at a time (1: in order).
        per_key: Maximum number of running events per key.
        key_rate: The limit for the starts of each key.
        pace: The limit for all starts.
        halt: Decides when the pool ends early.
        done: Events that are done according to the job log, and are skipped.
        known: Returns whether an event is done according to --once, and is skipped.
        pass_on: Whether to forward each event after success, with the duty to acknowledge it.
        relay: Whether to pass the duty to acknowledge an event on to its results.
        worker: The Worker as MODULE:CLASS, for the reason of a failure.
        command: The name of the command.
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
        """`max_abandoned`, or its default, which depends on the number of threads."""
        return self.max_abandoned or max(32, 2 * self.threads)

    def is_done(self, event: "Event") -> bool:
        """Return whether an earlier run has done `event`."""
        return event in self.done or (self.known is not None and self.known(event))


@dataclass(frozen=True, kw_only=True)
class Choice(Reading):
    """The options of flow-work and flow-run; flow-work(1) explains each of them.

    Attributes:
        worker: The Worker, as MODULE:CLASS.
        pool: The settings of the pool.
        pause_on: Exceptions of a Worker that count as Unavailable, each as MODULE:CLASS.
        isolation: Whether the Worker runs in threads of this process or in child processes.
        recycle: Number of events after which a process of the Worker is replaced; None: never.
        recycle_memory: MiB of resident memory above which it is replaced; None: never.
        keep_order: Whether to write results in the order of the input.
        no_ack: Whether to acknowledge nothing: the lines are copies that another process settles.
        joblog: The job log, with a line for each attempt.
        resume: Whether to skip events that are done according to the job log.
        once: The database with the ids of events that have been done.
        once_age: Seconds for which the database keeps an id.
        failed: The failed file, with the lines of events that failed permanently.
        config: The INI file with the Worker's settings.
        settings: Further settings of the Worker, each as SECTION.KEY=VALUE.
        max_line: Maximum length of an input line, in bytes.
        progress: Whether to show the progress on stderr.
        metrics: The address for metrics, as HOST:PORT or unix:PATH.
        dry_run: Whether to check the Worker and the lines without running anything.
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
