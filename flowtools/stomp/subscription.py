"""One subscription in one session: messages in, acknowledgements back.

`take` returns the messages that have arrived, each with its number in the window. Any thread may
settle one with `acknowledge(number)` or `reject(number)`; `flush` sends the acknowledgements to
the broker. A rejected message is moved to the dead letters first (deadletters.py).

Some brokers drop a message after too many unsuccessful deliveries (caution.py). There, a
subscription to a queue begins with a window of one. Once an ordinary message has come, a second
subscription on the same connection brings the rest of the window: STOMP cannot change the prefetch
of the first one, and a new connection would count as another unsuccessful delivery.

The source's main thread calls `take`. Acknowledgements come from the thread of the acknowledgement
socket, and from that of the dead letters once a message has been moved. When the session ends, the
broker delivers everything again that has not been acknowledged.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

from flowtools.ack.records import Reason
from flowtools.core.errors import ProtocolError, RefusedError
from flowtools.core.log import get_log
from flowtools.core.wait import sleep
from flowtools.stomp.broker import Broker
from flowtools.stomp.caution import Caution
from flowtools.stomp.contact import Contact
from flowtools.stomp.deadletters import DeadLetters
from flowtools.stomp.frames import Frame
from flowtools.stomp.giveback import SETTLING, giving_back
from flowtools.stomp.message import Message
from flowtools.stomp.saying import error_text
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.terms import Terms
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.window import Window

GOODBYE = 5.0
"""Seconds to wait for the receipt of DISCONNECT."""

PATIENCE = 3
"""Time to answer SUBSCRIBE, as a multiple of --connect-timeout."""

FIRST, MORE = "flow", "flow-more"
"""Ids of the first subscription, and of the second one for the rest of the window."""

ALONE = 16
"""Number of messages in a row for the first subscription that show that the second one gets none:
the queue has a single active consumer."""

_log = get_log("flowtools.source.stomp")


class OneConsumer(ConnectionLost):
    """Raised if the queue serves one subscription at a time: begin again with a full window."""


class Subscription:
    """A subscription for one session; its descriptor is readable when messages may be there.

    Attributes:
        session: The session.
        confirmed: Whether the broker has accepted the subscription.
        caution: The memory of earlier deliveries.
    """

    def __init__(
        self,
        session: Session,
        terms: Terms,
        settings: Settings,
        caution: Caution,
        contact: Contact,
        *,
        individual: bool,
    ) -> None:
        """Prepare to subscribe on `terms`.

        Args:
            session: The session to subscribe in; the caller keeps owning it.
            terms: The destination and the conditions of the subscription.
            settings: The settings of the separate connection for the dead letters.
            caution: The memory of earlier deliveries.
            contact: The object that counts the messages.
            individual: Whether messages are acknowledged in any order. If not, each is
                acknowledged after those before it.
        """
        self.session = session
        self.confirmed = False
        self.caution = caution
        self._terms = terms
        self._contact = contact
        # No client-id here: only one connection may have that of a durable subscription.
        beside = Broker(terms.url, settings)
        self._dead_letters = DeadLetters(
            beside.connect_anew, terms.dead_letter, terms.dead_letter_headers
        )
        individual = individual and session.dialect.individual
        self._ack = "client-individual" if individual else "client"
        self._window = Window(session, individual=individual)

        most = PATIENCE * settings.connect_timeout
        self._patience = settings.time_to_answer(most, len(terms.url.hosts))
        self._answer_by = inf
        self._size = terms.prefetch
        self._names: list[str] = []
        self._is_narrow = False
        self._first_alone = 0

    def open(self, most: int | None = None) -> None:
        """Subscribe; `most` lowers the number of messages that may be unacknowledged.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._size = min(self._terms.prefetch, most or self._terms.prefetch)
        dialect = self.session.dialect
        # A queue with one consumer at a time would give a second subscription nothing.
        self._is_narrow = (
            dialect.counts
            and self._terms.is_shared_queue
            and self._size > 1
            and not self.caution.one_consumer
        )
        self._answer_by = monotonic() + self._patience
        self._subscribe(FIRST, 1 if self._is_narrow else self._size)

    def widen(self) -> None:
        """Open the window if it is still of one message; called once an ordinary one has come.

        Raises:
            ConnectionLost: The connection has ended.
        """
        if self._is_narrow:
            self._is_narrow = False
            self._first_alone = 1
            self._subscribe(MORE, self._size - 1)

    def _subscribe(self, name: str, most: int) -> None:
        headers = self._terms.headers_for(self.session.dialect, self._ack, most, name=name)
        self._names.append(name)
        self.session.send_frame("SUBSCRIBE", headers)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there may be something to take."""
        return self.session.fileno()

    @property
    def unanswered(self) -> float | None:
        """Seconds that the broker has left to answer SUBSCRIBE; None once it has."""
        return None if self.confirmed else max(0.0, self._answer_by - monotonic())

    @property
    def moving(self) -> int:
        """Number of rejected messages that have not arrived at the dead letters."""
        return self._dead_letters.waiting

    def take(self) -> list[tuple[int, Message]]:
        """Return the messages that have arrived, each with its number; does not wait.

        Raises:
            ConnectionLost: The connection has ended, or the broker ends it with an ERROR.
            ProtocolError: The other side does not speak STOMP.
            RefusedError: The broker refuses the subscription.
        """
        messages = []
        for frame in self.session.take():
            if frame.command == "MESSAGE":
                self.confirmed = True
                if self._first_alone:
                    self._look_whose(frame)
                messages.append((self._window.add(frame), frame))
            elif frame.command == "RECEIPT":
                self.confirmed = True
            elif frame.command == "ERROR":
                self._fail(error_text(frame))
            else:
                raise ProtocolError(f"'{self.session.name}' sends a {frame.command} frame")
        self._contact.received += len(messages)
        # Checked after the frames: an answer that has just arrived counts.
        if self.unanswered == 0:
            raise ConnectionLost("it does not answer the subscription")
        return messages

    def _look_whose(self, message: Frame) -> None:
        """Check by which of the two subscriptions a message came.

        Raises:
            OneConsumer: The second subscription gets no messages.
        """
        if message.headers.get("subscription") == MORE:
            self._first_alone = 0
            return
        self._first_alone += 1
        # The broker divides messages between the two, so a few in a row for one prove nothing.
        if self._first_alone > ALONE:
            self.caution.one_consumer = True
            raise OneConsumer("the queue has a single active consumer")

    def acknowledge(self, number: int) -> None:
        """Note that a message is done; `flush` sends the acknowledgement."""
        if self.caution.counts:  # Rare, so that most messages save the look-up and the id.
            message = self._window.message(number)
            if message is not None:
                self.caution.forget(message, self.session.dialect)
        self._window.acknowledge(number)

    def reject(
        self, number: int, moved: Callable[[], None] | None = None, reason: Reason | None = None
    ) -> None:
        """Reject a message: move it to the dead letters, with the reason, then acknowledge it.

        The dead letters' thread calls `moved` once the message is there.
        """
        message = self._window.message(number)
        if message is None:
            return
        self._contact.reject()

        def acknowledge() -> None:
            if moved is not None:
                moved()
            self.acknowledge(number)
            self.flush()

        self._dead_letters.put(message, reason, acknowledge)

    def bury(self, message: Frame, moved: Callable[[], None], reason: Reason | None = None) -> None:
        """Move to the dead letters a message that this broker has not delivered."""
        self._contact.reject()
        self._dead_letters.put(message, reason, moved)

    def flush(self) -> None:
        """Send the broker the acknowledgements noted so far.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._window.send()

    def close(self, seconds: float = GOODBYE) -> None:
        """End in good order: acknowledgements take effect, the rest is delivered again."""
        # First, because the dead letters' thread acknowledges through the session.
        self._dead_letters.close()
        self.session.close(seconds)

    def give_back(self, seconds: float = GOODBYE) -> None:
        """Give back what is not settled, before a `close` for which no message is to blame.

        If the broker can be told so, it counts no unsuccessful delivery of these messages. A
        message that it sends meanwhile is counted once.

        Args:
            seconds: Maximum time to wait for a broker that accepts no data.
        """
        # First: its thread may be moving one of the messages, and acknowledges it then.
        self._dead_letters.close()
        dialect = self.session.dialect
        # UNSUBSCRIBE would delete a durable subscription with its messages.
        if self._terms.durable is not None or dialect.gives_back == "at the end":
            return
        try:
            for frame in self.session.take():
                if frame.command == "MESSAGE":
                    self._window.add(frame)
            messages = self._window.empty()
            if self._ack == "client":  # The last one stands for all before it.
                messages = messages[-1:]
            frames = giving_back(dialect, self._names, map(dialect.ack_headers, messages))
            if messages:
                self.session.send(frames, seconds=seconds)
        except (ConnectionLost, ProtocolError) as error:
            _log.debug("the connection ended before the messages were given back: %s", error)
            return
        if dialect.gives_back == "by NACK" and len(messages) > 1:
            sleep(SETTLING)

    def abort(self) -> None:
        """End at once; unacknowledged messages are delivered again."""
        self._dead_letters.close()
        self.session.abort()

    def _fail(self, said: str) -> None:
        # Before the broker has accepted the subscription, an ERROR is its refusal.
        if not self.confirmed and not self.caution.may_pass(said):
            raise RefusedError(
                f"'{self.session.name}' refuses the subscription to "
                f"'{self._terms.destination}': {said}"
            )
        raise ConnectionLost(f"the broker says: {said}")
