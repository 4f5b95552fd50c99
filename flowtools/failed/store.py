"""Where failed events are kept: the failed file, or a dead-letter queue."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from flowtools.core.wait import HasFileno, Stop
from flowtools.failed.record import Record


class Failed(Protocol):
    """Failed events that are being looked at.

    Attributes:
        name: The name of the store in messages.
        take_out_every: Seconds after which a replay takes out what is done by then.
    """

    @property
    def name(self) -> str:
        """How the place is called in messages."""

    @property
    def take_out_every(self) -> float:
        """Seconds after which a replay takes out what is done by then."""

    def records(self) -> Iterator[Record]:
        """Yield every event that is there now, the oldest first.

        Raises:
            FlowError: They cannot be read.
        """

    def key_of(self, record: Record) -> bytes:
        """Return what `take_out` knows `record` by."""

    def take_out(self, unwanted: Counter[bytes]) -> int:
        """Remove the events with these keys, each as often as it is counted; return how many.

        Raises:
            FlowError: They cannot be removed.
        """

    def descriptors(self) -> Sequence[HasFileno]:
        """Return what becomes readable when `tend` is to be called."""

    def tend(self) -> None:
        """Do what has to be done meanwhile; does not wait.

        Raises:
            FlowError: The events are out of reach.
        """


class Store(Protocol):
    """Where failed events are kept."""

    def opened(
        self, stop: Stop, *, most: int | None = None
    ) -> AbstractContextManager[Failed | None]:
        """Yield the events for as long as the block runs; None: `stop` was set before.

        Args:
            stop: Ends a wait.
            most: How many events are wanted at most; None: all.
        """
