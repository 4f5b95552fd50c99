"""One subscription in one session: messages in, acknowledgements back.

`take` returns the messages that have come, each with its number in the window.
`acknowledge(number)` and `refuse(number)` say what became of one, from any thread; `flush`
tells the broker. A refused message is moved to the dead letters first (deadletters.py).

Where the broker may drop a message that was delivered too often in vain (caution.py), a
subscription to a queue begins with a window of one. Once that one is an ordinary message, a
second subscription on the same connection brings the rest of the window: STOMP cannot change
the first, and a new connection would count as another delivery in vain.
"""

from collections.abc import Callable
from math import inf
from time import monotonic

from flowtools.ack.records import Reason
from flowtools.core.errors import ProtocolError, RefusedError
from flowtools.core.log import get_log
from flowtools.stomp.broker import Broker
from flowtools.stomp.caution import Caution
from flowtools.stomp.contact import Contact
from flowtools.stomp.deadletters import DeadLetters
from flowtools.stomp.frames import Frame
from flowtools.stomp.message import Message
from flowtools.stomp.session import Session, error_text
from flowtools.stomp.settings import Settings
from flowtools.stomp.terms import Terms
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.window import Window

GOODBYE = 5.0
"""Seconds that the broker has for the receipt of DISCONNECT."""

PATIENCE = 3
"""How many times --connect-timeout a broker has to answer SUBSCRIBE."""

FIRST, MORE = "flow", "flow-more"
"""Names of the subscription, and of the one that brings the rest of the window."""

ALONE = 16
"""Messages in a row to the first subscription that show that the second gets none: the queue
has a single active consumer."""

_log = get_log("flowtools.source.stomp")


class OneConsumer(ConnectionLost):
    """The queue serves one subscription at a time: begin again with the whole window."""


class Subscription:
    """Serves one session until it ends; its descriptor is readable when messages may be there.

    Attributes:
        session: The session.
        confirmed: Whether the broker has accepted the subscription.
        caution: What is known of earlier deliveries.
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
            session: Where to subscribe; it stays the caller's.
            terms: What to, and how.
            settings: How to connect once more, for the dead letters.
            caution: What is known of earlier deliveries.
            contact: Where messages are counted.
            individual: Whether messages are acknowledged in any order; else each is
                acknowledged after those before it.
        """
        self.session = session
        self.confirmed = False
        self.caution = caution
        self._terms = terms
        self._contact = contact
        # Without the client-id of a durable subscription, which only one connection may have.
        beside = Broker(terms.url, settings)
        self._dead_letters = DeadLetters(
            beside.connect, terms.dead_letter, terms.dead_letter_headers
        )
        individual = individual and session.dialect.individual
        self._ack = "client-individual" if individual else "client"
        self._window = Window(session, individual=individual)

        self._patience = PATIENCE * settings.connect_timeout
        self._answer_by = inf
        self._size = terms.prefetch
        self._is_narrow = False
        self._first_alone = 0

    def open(self, most: int | None = None) -> None:
        """Subscribe; `most`: take no more messages at a time than so many.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._size = min(self._terms.prefetch, most or self._terms.prefetch)
        dialect = self.session.dialect
        self._is_narrow = (
            dialect.counts
            and self._terms.is_shared_queue
            and self._size > 1
            and not self.caution.one_consumer
        )
        self._answer_by = monotonic() + self._patience
        self._subscribe(FIRST, 1 if self._is_narrow else self._size)

    def widen(self) -> None:
        """Open the window, if it is still one message: what came is ordinary.

        Raises:
            ConnectionLost: The connection has ended.
        """
        if self._is_narrow:
            self._is_narrow = False
            self._first_alone = 1
            self._subscribe(MORE, self._size - 1)

    def _subscribe(self, name: str, most: int) -> None:
        headers = self._terms.headers_for(self.session.dialect, self._ack, most, name=name)
        self.session.send_frame("SUBSCRIBE", headers)

    def fileno(self) -> int:
        """Return what becomes readable when there may be something to take."""
        return self.session.fileno()

    @property
    def unanswered(self) -> float | None:
        """Seconds that the broker has left to answer SUBSCRIBE; None once it has."""
        return None if self.confirmed else max(0.0, self._answer_by - monotonic())

    @property
    def moving(self) -> int:
        """How many refused messages have not arrived at the dead letters."""
        return self._dead_letters.waiting

    def take(self) -> list[tuple[int, Message]]:
        """Return the messages that have come, each with its number; does not wait.

        Raises:
            ConnectionLost: The connection has ended, or the broker ends it by an ERROR.
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
        if self.unanswered == 0:
            raise ConnectionLost("it does not answer the subscription")
        return messages

    def _look_whose(self, message: Frame) -> None:
        """Look which subscription a message came by.

        Raises:
            OneConsumer: The second subscription gets none.
        """
        if message.headers.get("subscription") == MORE:
            self._first_alone = 0
            return
        self._first_alone += 1
        if self._first_alone > ALONE:
            self.caution.one_consumer = True
            raise OneConsumer("the queue has a single active consumer")

    def acknowledge(self, number: int) -> None:
        """Note that a message is done; `flush` tells the broker."""
        if self.caution.counts:
            message = self._window.message(number)
            if message is not None:
                self.caution.forget(message, self.session.dialect)
        self._window.acknowledge(number)

    def refuse(
        self, number: int, moved: Callable[[], None] | None = None, reason: Reason | None = None
    ) -> None:
        """Move a message to the dead letters, with the reason, then acknowledge it.

        `moved` is called once it is there, by the thread of the dead letters.
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
        """Move a message to the dead letters that this broker has not delivered."""
        self._contact.reject()
        self._dead_letters.put(message, reason, moved)

    def flush(self) -> None:
        """Tell the broker of the messages that are acknowledged.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._window.send()

    def close(self, seconds: float = GOODBYE) -> None:
        """End in good order: what was acknowledged is so, the rest is delivered again."""
        self._dead_letters.close()
        self.session.close(seconds)

    def abort(self) -> None:
        """End at once; what is not acknowledged is delivered again."""
        self._dead_letters.close()
        self.session.abort()

    def _fail(self, said: str) -> None:
        if not self.confirmed and not self.caution.may_pass(said):
            raise RefusedError(
                f"'{self.session.name}' refuses the subscription to "
                f"'{self._terms.destination}': {said}"
            )
        raise ConnectionLost(f"the broker says: {said}")
