"""The end of a listener's session: what is in flight may still be settled, for a limited time.

After a stop, or once --count is reached, the reader is still there and finishes what it has. If the
reader has gone, only those can settle something who read what it had passed on (ack/parting.py).
"""

from time import monotonic

from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckInlet
from flowtools.core.errors import ReaderGone
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.wait import Stop, wait
from flowtools.source.again import Again
from flowtools.source.delivery import Delivery
from flowtools.stomp.subscription import Subscription
from flowtools.stomp.transport import ConnectionLost

_log = get_log("flowtools.source.stomp")


GOODBYE = 2.0
"""Seconds to wait for the broker, twice, once the reader has gone."""


class Patience:
    """The time for the end, which begins to run when it is first asked for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None

    def until(self) -> float:
        """Return the monotonic time at which it is over."""
        if self._until is None:
            self._until = monotonic() + self._seconds
        return self._until


class Ending:
    """The end of one session."""

    def __init__(
        self,
        subscription: Subscription,
        delivery: Delivery,
        outlet: Outlet,
        stop: Stop,
        acks: AckInlet | None,
        patience: Patience,
        again: Again,
    ) -> None:
        """Prepare; `again` says what becomes of events that are not acknowledged."""
        self._subscription = subscription
        self._delivery = delivery
        self._outlet = outlet
        self._stop = stop
        self._acks = acks
        self._patience = patience
        self._again = again

    def finish(self) -> None:
        """Wait until everything is settled, after a stop for a limited time; then disconnect.

        Raises:
            ReaderGone: The reader has gone, and nobody settles what is left.
        """
        try:
            while self._left and not self._is_late_after_a_stop():
                self._subscription.take()
                # Not for the stop: once set, its descriptor stays readable, and this would spin.
                ready = wait(self._subscription, gone=self._outlet, seconds=Parting.LOOK_EVERY)
                if self._outlet.fileno() in ready:
                    self.await_last()
                    if self._left:
                        raise ReaderGone
        except ConnectionLost as error:
            self._note_lost(error)
        if left := self._left:
            _log.warning(
                "%s %s",
                counted(
                    left,
                    "event",
                    "has not been acknowledged; it",
                    "have not been acknowledged; they",
                ),
                self._again.after_the_end,
            )
        # No message has caused the stop, so none should be counted. If the reader has gone instead
        # (`ReaderGone` above), a message that it had may have killed it, and has to be counted.
        self._subscription.give_back()
        self._subscription.close()

    def await_last(self) -> None:
        """Wait, after the reader has gone, for those who may still settle what it passed on."""
        if self._acks is None or not self._left:
            return
        parting = Parting(self._acks, self._patience.until() - monotonic())
        try:
            while not parting.is_late and (
                self._subscription.moving or (self._delivery.outstanding and not parting.is_over)
            ):
                self._subscription.take()  # Messages that still come are not written any more.
                wait(self._subscription, seconds=parting.LOOK_EVERY)
        except ConnectionLost as error:
            self._note_lost(error)

    @property
    def _left(self) -> int:
        return self._delivery.outstanding + self._subscription.moving

    def _is_late_after_a_stop(self) -> bool:
        if not self._stop.is_set():
            return False
        if self._acks is not None:
            self._acks.await_last()
        return monotonic() >= self._patience.until()

    def _note_lost(self, error: ConnectionLost) -> None:
        name = self._subscription.session.name
        _log.warning("lost the connection to '%s' at the end: %s", name, error)


def leave(subscription: Subscription, acks: AckInlet | None, stop: Stop) -> None:
    """End a session whose reader has gone: acknowledge what was done; the rest is delivered again.

    Without --ack worker nothing is left to acknowledge, and the connection is just closed.
    """
    if acks is not None:
        acks.close()
    elif not stop.is_set():
        return
    # After a stop, the reader was probably stopped, too, as a service's processes are all at once.
    # Without one, a message may have killed it, and the broker has to count that.
    if stop.is_set():
        subscription.give_back(GOODBYE)
    subscription.close(GOODBYE)
