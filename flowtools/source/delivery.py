"""Write event lines to the reader, and settle each event with its subscription.

Every event is written together with a duty: an object that is settled once the event is done. With
--ack pipe an event is done when its line has been written. With --ack worker it is done when its
acknowledgement arrives, which names it by the number in the line's `ackto`.

The thread that serves the session writes. With --ack worker the inlet's thread settles, so the two
share `waiting`, under a lock. Nobody waits for the network while holding it: a settled duty only
puts its message on the way, and `settle` sends the acknowledgements after it has released the lock.
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
    """An obligation that is settled once an event is done or has failed permanently."""

    def settle(self, done: bool, reason: Reason | None = None) -> None:
        """Note that the event is done, or rejected, for this reason.

        One thread at a time calls it.
        """


class MessageDuty:
    """The duty of a message, which is settled once all events of the message are."""

    __slots__ = ("_left", "_number", "_reason", "_rejected", "_settled", "_subscription")

    def __init__(
        self,
        subscription: Subscription,
        number: int,
        events: int,
        settled: Callable[[], None] | None = None,
    ) -> None:
        """Acknowledge message `number` after so many `events`; move it if one is rejected.

        `settled` is called before it is acknowledged, or once it has been moved.
        """
        self._subscription = subscription
        self._number = number
        self._left = events
        self._rejected = False
        self._reason: Reason | None = None
        self._settled = settled

    def settle(self, done: bool, reason: Reason | None = None) -> None:
        """Note that one event of the message is done or rejected; the first reason counts."""
        self._left -= 1
        self._rejected = self._rejected or not done
        self._reason = self._reason or reason
        if self._left > 0:
            return
        if self._rejected:
            self._subscription.reject(self._number, self._settled, self._reason)
            return
        if self._settled is not None:
            self._settled()
        self._subscription.acknowledge(self._number)


class Delivery:
    """Writer of the events of one session, which also settles their duties.

    One thread writes. With --ack worker another one calls `settle`.

    Attributes:
        subscription: The subscription that the messages come from.
        in_worker_mode: Whether events are acknowledged from outside.
        taken: Number of events that have been written.
        waiting: Duties of the events that wait for an acknowledgement, by number.
        stale: Number of acknowledgements for events that were not waiting, or no longer.
    """

    def __init__(self, subscription: Subscription, pipe: Pipe, acks: AckInlet | None) -> None:
        """Write to `pipe`; with --ack worker, `acks` receives the acknowledgements."""
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
        """Return a descriptor that is readable once nothing is outstanding (--ack worker)."""
        return self._over.fileno()

    @property
    def outstanding(self) -> int:
        """Number of unacknowledged events, plus one while acknowledgements are sent on."""
        return len(self.waiting) + self._settling

    @property
    def unsettled(self) -> int:
        """How many duties wait for `flush` (--ack pipe)."""
        return len(self._written)

    @property
    def is_block(self) -> bool:
        """Whether the buffer holds enough lines to be worth a write."""
        return self._pipe.is_block

    def write(self, event: Event, duty: Duty) -> None:
        """Hold the line of `event` back until `flush`."""
        if self.in_worker_mode:
            number = next(self._numbers)
            event.attributes["ackto"] = f"{self._ackto}{number}"
            # Before the line is written: its acknowledgement may come at once.
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
        """Release the descriptors; acknowledgements that still arrive are stale."""
        with self._state:
            self._closed = True
            self._over.close()

    def drop(self, duty: Duty) -> None:
        """Settle the duty of an event that is dropped."""
        with self._state:
            duty.settle(True)

    def flush(self) -> bool:
        """Write the gathered lines, and settle the events that are done once they are written.

        Return False if they could not be written: a stop was requested, and the reader accepts
        nothing.

        Raises:
            ReaderGone: The reader has gone.
        """
        if not self._pipe.flush():
            return False  # Nothing is settled: the broker delivers these messages again.
        written, self._written = self._written, []
        for duty in written:
            duty.settle(True)
        return True

    def settle(self, acks: list[Ack]) -> None:
        """Take acknowledgements, and settle the messages that they complete with the broker."""
        # `outstanding` counts this: the source must not end between taking the last event out of
        # `waiting` and sending its acknowledgement.
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
