"""How a pool behaves, and the parts that plug into it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from flowtools.core.event import Event
from flowtools.pool.outcome import Attempt
from flowtools.pool.retry import RetryPolicy


class Recorder(Protocol):
    """Is told of every attempt: the job log, the metrics, the display."""

    def record(self, attempt: Attempt) -> None:
        """Take note of `attempt`; called from any thread.

        Raises:
            FlowError: It cannot be noted; the pool then drains and ends with this error.
        """


class Acknowledger(Protocol):
    """Tells the source of an event, by its `ackto` attribute, what became of it."""

    def ack(self, ackto: str) -> None:
        """The event is taken care of."""

    def nack(self, ackto: str) -> None:
        """The event failed for good."""


class Failures(Protocol):
    """Keeps the lines of events that failed for good."""

    def write(self, attempt: Attempt) -> None:
        """Keep the line of `attempt`; on return it is in the file.

        Raises:
            FlowError: It could not be written.
        """


class Pace(Protocol):
    """A limit on how fast events may start."""

    def wait_time(self, now: float) -> float:
        """Reserve the next start and return how many seconds away it is."""


@dataclass(frozen=True)
class Settings:
    """How the pool behaves; every field but the first few is off by default.

    Attributes:
        threads: Width of the pool.
        timeout: Seconds that one attempt may take; 0 for no limit.
        grace: Seconds that a Worker has to end once it is told that its time is up.
        drain: Seconds that running events have to end after a signal.
        max_abandoned: Stuck threads at which the pool drains and ends.
        retry: When a failed event is tried again.
        key: Gives the key whose events run one at a time and in order.
        pace: Limits the starts.
        halt: Told of each final attempt; says "soon" or "now" when the pool is to end.
        done: Ids that a job log knows as done: not run again.
        pass_on: Write each event on after success, with the duty to acknowledge it.
        command: What stands in front of a report of the pool's state.
    """

    threads: int = 1
    timeout: float = 60.0
    grace: float = 5.0
    drain: float = 30.0
    max_abandoned: int = 32
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    key: Callable[[Event], str | None] | None = None
    pace: Pace | None = None
    halt: Callable[[Attempt], str | None] | None = None
    done: frozenset[str] | set[str] = frozenset()
    pass_on: bool = False
    command: str = "flow-work"
