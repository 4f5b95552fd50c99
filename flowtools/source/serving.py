"""One session of a STOMP listener: turns messages into event lines until it ends.

In each round the session takes the messages that have arrived, makes events of them, writes the
lines, and then acknowledges what is done. A line is always written before its message is
acknowledged: if anything dies in between, the broker delivers the message again.

A message that was delivered several times without being settled is a suspect: its Worker may have
died of it (stomp/caution.py). It is written only when nothing else is in flight, and nothing else
is written before it is settled, so that no other message shares its fate.

The thread that calls `run` does everything except receive acknowledgements (--ack worker). A thread
of its own receives them, so that they keep flowing while a full pipe blocks the lines.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Protocol

from flowtools.ack.receiver import AckInlet
from flowtools.ack.records import Reason
from flowtools.core.errors import ReaderGone
from flowtools.core.event import Event, EventError
from flowtools.core.lines import MAX_LINE
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.wait import Stop, wait
from flowtools.source.again import Again, of_broker
from flowtools.source.delivery import Delivery, MessageDuty
from flowtools.source.ending import Ending, Patience
from flowtools.source.pipe import Pipe
from flowtools.stomp.caution import PROBATION, SUSPECT
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.message import Message
from flowtools.stomp.subscription import Subscription
from flowtools.stomp.terms import Terms

_LARGE = MAX_LINE // 16
"""Size in bytes up to which a body's line cannot be too long: JSON makes at most six of a byte."""

_log = get_log("flowtools.source.stomp")


class Detour(Protocol):
    """A processing stage between a source's messages and the reader.

    It may delay, change or drop events, and add some of its own. It outlives a session. Only the
    thread that serves the session calls it.
    """

    def descriptors(self) -> Sequence[int]:
        """Return descriptors that are readable when `pump` may have something to write."""

    def open(self, delivery: Delivery) -> None:
        """Begin a session, whose events are written to `delivery`."""

    def confirm(self) -> None:
        """Note that the broker has accepted the subscription of this session."""

    @property
    def room(self) -> int:
        """Number of events that `put` can take now."""

    def put(self, events: Sequence[Event], number: int) -> None:
        """Take the events, one or more, of message `number`."""

    def pump(self, most: int | None) -> int:
        """Write the events that are ready, at most `most`; return how many."""

    def end(self) -> None:
        """End the session. Events that are not done are delivered or asked for again."""


class Serving:
    """One session with a broker.

    Attributes:
        subscription: The subscription that the messages come from.
        delivery: The writer of the events.
    """

    def __init__(
        self,
        subscription: Subscription,
        terms: Terms,
        outlet: Outlet,
        stop: Stop,
        to_events: Callable[[Message, Dialect], Sequence[Event]],
        *,
        count: int | None,
        acks: AckInlet | None,
        detour: Detour | None,
        again: Again | None = None,
    ) -> None:
        """Prepare a session that ends after `count` events; `acks` means --ack worker.

        `again` says what becomes of unacknowledged events; None: what the broker does.
        """
        self.subscription = subscription
        patience = Patience(terms.drain)
        self.delivery = Delivery(subscription, Pipe(outlet, stop, patience.until), acks)
        again = again or of_broker(terms)
        self._ending = Ending(subscription, self.delivery, outlet, stop, acks, patience, again)
        self._again = again
        self._terms = terms
        self._outlet = outlet
        self._stop = stop
        self._to_events = to_events
        self._count = count
        self._detour = detour
        self._active = monotonic()
        # By quarters of the window: the broker can refill it before it has run out.
        self._ack_every = max(1, terms.prefetch // 4)
        self._is_confirmed = False
        self._left = False
        self._held: deque[tuple[int, Message, int]] = deque()
        self._one_by_one = 0
        self._is_suspect_in_flight = False
        if detour is not None:
            detour.open(self.delivery)

    @property
    def held(self) -> int:
        """Number of events in flight if they fill the window or keep --idle from ending; else 0."""
        outstanding = self.delivery.outstanding
        holds = outstanding >= self._terms.prefetch or self._terms.idle is not None
        return outstanding if holds else 0

    def forsake(self, reason: str) -> None:
        """End the session if events are outstanding, so that they are delivered again.

        Any thread may call.
        """
        if count := self.delivery.outstanding:
            session = self.subscription.session
            session.abandon(f"{reason}; {counted(count, 'event')} {self._again.after_a_session}")

    def run(self) -> None:
        """Write events until `count` are written, a stop is requested, or the session is idle.

        Raises:
            ConnectionLost: The connection has ended; there may be another.
            ProtocolError: The other side does not speak STOMP.
            RefusedError: The broker refuses the subscription.
            ReaderGone: Nobody reads any more.
        """
        self.subscription.open(self._count)
        try:
            self._serve()
        except ReaderGone:
            self._ending.await_last()
            raise
        self._ending.finish()

    def _serve(self) -> None:
        while not self._is_over():
            messages = self.subscription.take()
            self._confirm()
            self._held += self._looked_at(messages)
            others = self._pump()
            taken = self._take_held()
            if taken or others:
                self._active = monotonic()
            elif not messages:
                left = self._idle_left()
                if left == 0:
                    break
                self._wait(left)

    def close(self) -> None:
        """Release the resources; messages that are not acknowledged are delivered again."""
        self.subscription.abort()
        self.delivery.close()

    def _looked_at(
        self, messages: Sequence[tuple[int, Message]]
    ) -> Iterator[tuple[int, Message, int]]:
        """Yield the messages to be written, each with the number of its failed deliveries.

        A message without earlier failures opens the window. One that failed too often is rejected.
        """
        caution, session = self.subscription.caution, self.subscription.session
        most = self._terms.max_deliveries
        for number, message in messages:
            is_first_time = message.headers.get("redelivered") != "true"
            failed = 0 if is_first_time else caution.failed(message, session.dialect, session)
            if most and failed >= most:
                self._give_up(number, message, failed)
                continue
            # A broker that does not tell how often a message has failed: the window stays at one
            # message for a while, so that only the message which kills its Worker is counted.
            self._one_by_one += 1
            is_told = is_first_time or session.dialect.tells_failed
            if failed < SUSPECT and (is_told or self._one_by_one > PROBATION):
                self.subscription.widen()
            yield number, message, failed

    def _give_up(self, number: int, message: Message, failed: int) -> None:
        reason = f"delivered {failed} times without being settled"
        _log.error(
            "message '%s' from '%s' was %s (see --max-deliveries); it goes to '%s'",
            *(message.headers.get("message-id"), message.headers.get("destination")),
            *(reason, self._terms.dead_letter),
        )
        self.subscription.reject(number, reason=Reason.here(reason))

    def _take_held(self) -> int:
        """Write the held messages whose turn it is; return how many."""
        taken = 0
        while self._held and not self._left and self._has_room():
            number, message, failed = self._held[0]
            if not self._may_take(failed):
                break
            self._held.popleft()
            taken += 1
            self._take(number, message)
            if self._is_full():
                break
            if self.delivery.unsettled >= self._ack_every or self.delivery.is_block:
                self._write()
        self._write()
        return taken

    def _may_take(self, failed: int) -> bool:
        """Return whether one more message may be in flight."""
        if failed < SUSPECT and not self._is_suspect_in_flight:
            return True
        # With --ack pipe writing settles what is in flight. With --ack worker this message waits
        # until the acknowledgements have come; `delivery` then wakes the loop.
        if not self.delivery.in_worker_mode:
            self._write()
        if not self.delivery.is_empty:
            return False
        self._is_suspect_in_flight = failed >= SUSPECT
        return True

    def _is_full(self) -> bool:
        return self._count is not None and self.delivery.taken >= self._count

    def _is_over(self) -> bool:
        return self._is_full() or self._stop.is_set()

    def _idle_left(self) -> float | None:
        """Return the seconds until the session ends as idle; None if it never does."""
        idle = self._terms.idle
        if idle is None:
            return None
        if self.delivery.outstanding or self.subscription.moving or not self._is_confirmed:
            self._active = monotonic()
            # No descriptor signals the last acknowledgement here: look again soon.
            idle = min(idle, 1.0)
        return max(0.0, self._active + idle - monotonic())

    def _wait(self, seconds: float | None) -> None:
        """Wait for messages, a stop, or the reader's end.

        Raises:
            ReaderGone: The reader has gone.
        """
        others = list(self._detour.descriptors() if self._detour is not None else ())
        if self._held:
            others.append(self.delivery.fileno())
        limits = [each for each in (seconds, self.subscription.unanswered) if each is not None]
        seconds = min(limits, default=None)
        ready = wait(self._stop, self.subscription, *others, gone=self._outlet, seconds=seconds)
        if self._outlet.fileno() in ready:
            raise ReaderGone

    def _confirm(self) -> None:
        if self.subscription.confirmed and not self._is_confirmed:
            self._is_confirmed = True
            if self._detour is not None:
                self._detour.confirm()

    def _pump(self) -> int:
        """Write the events that the detour has ready; return how many."""
        detour = self._detour
        if detour is None or self._is_full() or not wait(*detour.descriptors(), seconds=0):
            return 0
        if not self.delivery.flush():
            return 0
        return detour.pump(None if self._count is None else self._count - self.delivery.taken)

    def _has_room(self) -> bool:
        """Wait until there is room for an event (True) or the session has to end (False)."""
        detour = self._detour
        if detour is None:
            return True
        while detour.room <= 0 and not self._is_over():
            if self._outlet.fileno() in wait(self._stop, *detour.descriptors(), gone=self._outlet):
                raise ReaderGone
            self._pump()
            self._write()
        return not self._is_over()

    def _take(self, number: int, message: Message) -> None:
        events = self._events_of(number, message)
        if events is None:
            return
        if not events:
            self.subscription.acknowledge(number)
        elif self._detour is not None:
            self._detour.put(events, number)
        else:
            duty = MessageDuty(self.subscription, number, len(events))
            for event in events:
                self.delivery.write(event, duty)

    def _events_of(self, number: int, message: Message) -> Sequence[Event] | None:
        """Return the events of a message; None if the message has been rejected."""
        try:
            events = self._to_events(message, self.subscription.session.dialect)
            if len(message.body) > _LARGE and any(len(e.encode()) - 1 > MAX_LINE for e in events):
                raise EventError(f"its line would be longer than {MAX_LINE} bytes")
            if message.headers.get("redelivered") == "true":
                for event in events:
                    event.attributes["redelivered"] = True
        except EventError as error:
            _log.error(
                "cannot take message '%s' from '%s': %s; it goes to '%s'",
                message.headers.get("message-id"),
                message.headers.get("destination"),
                error,
                self._terms.dead_letter,
            )
            self.subscription.reject(number, reason=Reason.here(str(error)))
            return None
        except Exception as error:  # noqa: BLE001  one bad message must not end the listener
            _log.exception(
                "cannot make an event of message '%s' from '%s'; it goes to '%s'",
                message.headers.get("message-id"),
                message.headers.get("destination"),
                self._terms.dead_letter,
            )
            self.subscription.reject(number, reason=Reason.here(f"internal error: {error}"))
            return None
        return events

    def _write(self) -> bool:
        """Write the buffered lines, then acknowledge the events that are done by that."""
        written = self.delivery.flush()
        if written:
            self.subscription.flush()
        # After a stop, or a connection lost while waiting for the reader, the broker delivers
        # again whatever is still held here: writing it would only cause duplicates.
        self._left = self.subscription.session.lost is not None or self._stop.is_set()
        return written
