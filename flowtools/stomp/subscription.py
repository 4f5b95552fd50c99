"""One subscription in one session: messages in, acknowledgements back.

`take` returns the messages that have come, each with its number in the window.
`acknowledge(number)` and `refuse(number)` say what became of one, from any thread; `flush`
tells the broker. A refused message is moved to the dead letters first (deadletters.py).
"""

from collections.abc import Callable

from flowtools.ack.records import Reason
from flowtools.core.errors import ProtocolError, RefusedError
from flowtools.core.log import get_log
from flowtools.stomp.broker import Broker
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

_log = get_log("flowtools.source.stomp")


class Subscription:
    """Serves one session until it ends; its descriptor is readable when messages may be there.

    Attributes:
        session: The session.
        confirmed: Whether the broker has accepted the subscription.
    """

    def __init__(
        self, session: Session, terms: Terms, settings: Settings, *, individual: bool
    ) -> None:
        """Prepare to subscribe on `terms`.

        Args:
            session: Where to subscribe; it stays the caller's.
            terms: What to, and how.
            settings: How to connect once more, for the dead letters.
            individual: Whether messages are acknowledged in any order; else each is
                acknowledged after those before it.
        """
        self.session = session
        self.confirmed = False
        self._terms = terms
        # Without the client-id of a durable subscription, which only one connection may have.
        beside = Broker(terms.url, settings)
        self._dead_letters = DeadLetters(beside.connect, terms.dead_letter, {})
        individual = individual and session.dialect.individual
        self._ack = "client-individual" if individual else "client"
        self._window = Window(session, individual=individual)

    def open(self, most: int | None = None) -> None:
        """Subscribe; `most`: take no more messages at a time than so many.

        Raises:
            ConnectionLost: The connection has ended.
        """
        headers = self._terms.headers_for(self.session.dialect, self._ack, most)
        self.session.send_frame("SUBSCRIBE", headers)

    def fileno(self) -> int:
        """Return what becomes readable when there may be something to take."""
        return self.session.fileno()

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
                messages.append((self._window.add(frame), frame))
            elif frame.command == "RECEIPT":
                self.confirmed = True
            elif frame.command == "ERROR":
                self._fail(error_text(frame))
            else:
                raise ProtocolError(f"'{self.session.name}' sends a {frame.command} frame")
        return messages

    def acknowledge(self, number: int) -> None:
        """Note that a message is done; `flush` tells the broker."""
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

        def acknowledge() -> None:
            if moved is not None:
                moved()
            self._window.acknowledge(number)
            self._window.send()

        self._dead_letters.put(message, reason, acknowledge)

    def bury(self, message: Frame, moved: Callable[[], None], reason: Reason | None = None) -> None:
        """Move a message to the dead letters that this broker has not delivered."""
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
        if not self.confirmed:
            raise RefusedError(
                f"'{self.session.name}' refuses the subscription to "
                f"'{self._terms.destination}': {said}"
            )
        raise ConnectionLost(f"the broker says: {said}")
