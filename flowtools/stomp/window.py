"""The window: the unacknowledged messages of one session.

Each message has a number. Any thread may call `acknowledge(number)`; `send` then sends the broker
the ACK frames of all messages that are ready. With ack mode client-individual they are ready in any
order. With ack mode client a message is ready once all those before it are, and if one
acknowledgement covers all messages before it, only the last one is sent.

A window belongs to one session and ends with it, because the broker then delivers the messages
again. A late acknowledgement must not meet the next window, where the same number is another
message: the epoch in its token prevents that (source/delivery.py).

The lock `_state` guards the contents; `_sending` keeps the ACK frames of two threads in order.
"""

from collections import deque
from itertools import count
from threading import Lock

from flowtools.stomp.frames import Frame
from flowtools.stomp.session import Session


class Window:
    """Messages in flight; any thread may call any method."""

    def __init__(self, session: Session, *, individual: bool) -> None:
        """Serve `session`; `individual` tells ack mode client-individual from client."""
        self._session = session
        self._in_order = not individual
        self._cumulative = not individual and session.dialect.cumulative
        self._numbers = count(1)
        self._state = Lock()
        self._sending = Lock()
        self._held: dict[int, Frame] = {}
        self._order: deque[tuple[int, Frame]] = deque()
        self._ready: list[Frame] = []

    def add(self, message: Frame) -> int:
        """Add a message to the window; return its number."""
        number = next(self._numbers)
        with self._state:
            self._held[number] = message
            if self._in_order:
                self._order.append((number, message))
        return number

    def message(self, number: int) -> Frame | None:
        """Return the message with that number; None once it is acknowledged."""
        return self._held.get(number)

    def acknowledge(self, number: int) -> None:
        """Note that a message is settled; `send` sends the acknowledgement."""
        with self._state:
            message = self._held.pop(number, None)
            if message is None:
                return  # A second ACK for one message is an error to the broker.
            if not self._in_order:
                self._ready.append(message)
            while self._order and self._order[0][0] not in self._held:
                self._ready.append(self._order.popleft()[1])

    def empty(self) -> list[Frame]:
        """Remove all messages; return, in order, those for which no acknowledgement is ready.

        With ack mode client, these include messages that wait for an earlier one.
        """
        with self._state:
            left = [each for _, each in self._order] if self._in_order else [*self._held.values()]
            self._held.clear()
            self._order.clear()
        return left

    def send(self) -> None:
        """Send the broker the acknowledgements that are ready.

        Raises:
            ConnectionLost: The connection has ended.
        """
        # Without the lock: whoever adds a message to it calls `send` after that.
        if not self._ready:
            return
        ack_headers = self._session.dialect.ack_headers
        # Taken and sent in one step. Otherwise the ACK of a later message could go first, and where
        # it covers the earlier ones, theirs would be an error that ends the connection (RabbitMQ).
        with self._sending:
            with self._state:
                ready, self._ready = self._ready, []
            if self._cumulative:
                ready = self._session.dialect.last(ready)
            acks = "".join([f"ACK\n{ack_headers(message)}\n\0" for message in ready])
            self._session.send(acks.encode())
