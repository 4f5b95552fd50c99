"""The interface of a store of failed events: a failed file, or a dead-letter queue.

A Store is opened for the time of one command and then gives the events as a Failed. Only the queue
needs that, for its connection.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from flowtools.core.wait import HasFileno, Stop
from flowtools.failed.record import Record


class Failed(Protocol):
    """The failed events of a store that has been opened.

    Attributes:
        name: Name of the store in messages.
        take_out_every: Seconds between two times that a replay removes the events that are done.
    """

    @property
    def name(self) -> str:
        """Name of the store in messages."""

    @property
    def take_out_every(self) -> float:
        """Seconds between two times that a replay removes the events that are done."""

    def records(self) -> Iterator[Record]:
        """Yield every event that is in the store now, the oldest first.

        Raises:
            FlowError: The events cannot be read.
        """

    def key_of(self, record: Record) -> bytes:
        """Return the key by which `take_out` recognises `record`."""

    def take_out(self, unwanted: Counter[bytes]) -> int:
        """Remove the events with these keys, each as often as it is counted; return how many.

        Raises:
            FlowError: The events cannot be removed.
        """

    def descriptors(self) -> Sequence[HasFileno]:
        """Return the descriptors that become readable when `tend` must be called."""

    def tend(self) -> None:
        """Do the work that the store needs while it is open, without waiting.

        Raises:
            FlowError: The store cannot be reached any more.
        """


class Store(Protocol):
    """A place that keeps failed events."""

    def opened(
        self, stop: Stop, *, most: int | None = None
    ) -> AbstractContextManager[Failed | None]:
        """Open the store while a block runs; None: `stop` was set before it was open.

        Args:
            stop: Ends the waiting for a connection.
            most: Maximum number of events that are wanted; None: all.
        """
