"""Event lines out, and what becomes of each: the way between a subscription and the reader.

Every event is written together with a duty, which is settled once the event is done. With
--ack pipe that is when its line has been written; with --ack worker when whoever finished the
event says so, by the number that stands in the line's `ackto`.
"""

from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import Protocol

from flowtools.ack.receiver import AckInlet, new_epoch
from flowtools.ack.records import Ack, Reason
from flowtools.core.errors import ProtocolError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.wait import Wake
from flowtools.source.pipe import Pipe
from flowtools.stomp.subscription import Subscription
from flowtools.stomp.transport import ConnectionLost

_log = get_log("flowtools.ack")


class Duty(Protocol):
    """Something to be settled once an event is done, or has failed for good."""

    def settle(self, done: bool, reason: Reason | None = None) -> None:
        """Note that the event is done, or rejected, for this reason.

        One thread at a time calls it.
        """


class MessageDuty:
    """The duty of a message: settled once all of its events are."""

    __slots__ = ("_left", "_number", "_reason", "_rejected", "_settled", "_subscription")

    def __init__(
        self,
        subscription: Subscription,
        number: int,
        events: int,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """Acknowledge message `number` after so many `events`, or move it if one is rejected.

        `settled` is called before it is acknowledged, or once it has been moved.
        """
        self._subscription = subscription
        self._number = number
        self._left = events
        self._rejected = False
        self._reason: Reason | None = None
        self._settled = settled

    def settle(self, done: bool, reason: Reason | None = None) -> None:
        """Note that one of its events is done, or rejected; the first reason counts."""
        self._left -= 1
        self._rejected = self._rejected or not done
        self._reason = self._reason or reason
        if self._left > 0:
            return
        if self._rejected:
            self._subscription.refuse(self._number, self._settled, self._reason)
            return
        if self._settled is not None:
            self._settled()
        self._subscription.acknowledge(self._number)


class Delivery:
    """Writes the events of one session, and settles their duties.

    One thread writes. With --ack worker another one calls `settle`.

    Attributes:
        subscription: Where the messages come from.
        in_worker_mode: Whether events are acknowledged from outside.
        taken: How many events have been written.
        waiting: The duties of the events that wait for an acknowledgement, by number.
        stale: How many acknowledgements were for events that do not wait (any more).
    """

    def __init__(self, subscription: Subscription, pipe: Pipe, acks: AckInlet | None) -> None:
        """Write to `pipe`; `acks` receives acknowledgements: --ack worker."""
        self.subscription = subscription
        self.in_worker_mode = acks is not None
        self.taken = 0
        self.stale = 0
        self._pipe = pipe
        self._epoch = new_epoch()
        self._ackto = acks.ackto(self._epoch) if acks is not None else ""
        self._numbers = count(1)
        self._state = Lock()
        self.waiting: dict[int, Duty] = {}
        self._written: list[Duty] = []
        self._settling = False
        self._over = Wake()
        self._closed = False

    def fileno(self) -> int:
        """Return what becomes readable when nothing is outstanding any more (--ack worker)."""
        return self._over.fileno()

    @property
    def outstanding(self) -> int:
        """How many events wait for an acknowledgement, or one more while that is sent on."""
        return len(self.waiting) + self._settling

    @property
    def unsettled(self) -> int:
        """How many duties wait for `flush` (--ack pipe)."""
        return len(self._written)

    @property
    def is_block(self) -> bool:
        """Whether as much is held back as is worth a write."""
        return self._pipe.is_block

    def write(self, event: Event, duty: Duty) -> None:
        """Hold the line of `event` back until `flush`."""
        if self.in_worker_mode:
            number = next(self._numbers)
            event.attributes["ackto"] = f"{self._ackto}{number}"
            with self._state:
                self.waiting[number] = duty
        else:
            self._written.append(duty)
        self.taken += 1
        self._pipe.put(event)

    @property
    def is_empty(self) -> bool:
        """Whether everything written is settled."""
        self._over.clear()
        return not (self._written or self.outstanding)

    def close(self) -> None:
        """Release what it waits with; acknowledgements that still come are stale."""
        with self._state:
            self._closed = True
            self._over.close()

    def drop(self, duty: Duty) -> None:
        """Settle the duty of an event that is not wanted."""
        with self._state:
            duty.settle(True)

    def flush(self) -> bool:
        """Let the lines out that have gathered, and settle those that count as done by that.

        Return whether they are out: they are not where a stop was asked for and the reader
        takes nothing.

        Raises:
            ReaderGone: The reader has gone.
        """
        if not self._pipe.flush():
            return False
        written, self._written = self._written, []
        for duty in written:
            duty.settle(True)
        return True

    def settle(self, acks: list[Ack]) -> None:
        """Take acknowledgements, and tell the broker of the messages that they complete."""
        self._settling = True
        try:
            with self._state:
                for ack in acks:
                    is_ours = ack.epoch == self._epoch
                    duty = self.waiting.pop(ack.number, None) if is_ours else None
                    if duty is None:
                        self.stale += 1
                    else:
                        duty.settle(ack.done, ack.reason)
            self.subscription.flush()
        except (ConnectionLost, ProtocolError) as error:
            _log.debug("an acknowledgement came too late: %s", error)
        finally:
            self._settling = False
            with self._state:
                if not self.waiting and not self._closed:
                    self._over.ring()
