"""Which message goes to whom: queues, topics, prefetch, acknowledgement, redelivery.

Takes the place of CoilMQ's queue and topic managers, which know neither client-individual
nor several messages in flight, and which send while they hold a lock. Here a message is
only handed to its connection's own outgoing queue, so that nobody who publishes waits.

One lock guards everything. Nothing is kept on disk.
"""

import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import Literal, Protocol

from coilmq.exception import ProtocolError
from coilmq.util.frames import Frame

Ack = Literal["auto", "client", "client-individual"]

MAX_WAITING = 100_000
"""Messages that a queue, or a slow subscriber of a topic, may have waiting."""

DEAD_LETTERS = "/queue/ActiveMQ.DLQ"
"""Where a message goes that is refused with NACK, as on ActiveMQ Classic."""


class Connection(Protocol):
    """What delivers to a client; neither method waits."""

    def send_frame(self, frame: Frame) -> None:
        """Take `frame`, to be sent in its turn."""

    def drop(self) -> None:
        """Close the connection at once."""


@dataclass(frozen=True)
class Message:
    """What was sent: its headers (destination and message-id among them) and body."""

    headers: dict[str, str]
    body: bytes
    redelivered: bool = False


@dataclass(eq=False)
class Subscription:
    """A client's subscription.

    Attributes:
        connection: Whose it is.
        id: Its id; unique to the connection.
        destination: What it is to.
        ack: How its messages are acknowledged.
        prefetch: How many may be unacknowledged; does not count with ack "auto".
        waiting: What a topic has for it beyond that.
        pending: What it has not acknowledged, by token, the oldest first.
    """

    connection: Connection
    id: str
    destination: str
    ack: Ack
    prefetch: int
    waiting: deque[Message] = field(default_factory=deque)
    pending: dict[str, Message] = field(default_factory=dict)

    @property
    def has_room(self) -> bool:
        """Return whether it can take a message now."""
        return self.ack == "auto" or len(self.pending) < self.prefetch

    def token(self, message_id: str) -> str:
        """Return what the `ack` header of STOMP 1.2 says for a message."""
        return f"{self.id}/{message_id}"


@dataclass(frozen=True)
class Verdict:
    """An ACK or NACK: of the message with this token, or this message-id."""

    accepted: bool
    token: str | None = None
    message_id: str | None = None
    subscription: str | None = None


class Delivery:
    """All destinations; any thread may call."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._subscriptions: list[Subscription] = []
        self._queues: dict[str, deque[Message]] = {}

    def close(self) -> None:
        """Do nothing: there is nothing on disk (CoilMQ's server calls this)."""

    def subscribe(self, subscription: Subscription) -> None:
        """Add `subscription`, and send it what its queue has.

        Raises:
            ProtocolError: Its connection has one of that id.
        """
        with self._changed:
            if any(each.id == subscription.id for each in self._of(subscription.connection)):
                raise ProtocolError(f"there is a subscription '{subscription.id}' already")
            self._subscriptions.append(subscription)
            self._changed.notify_all()
            self._drain(subscription.destination)

    def unsubscribe(self, connection: Connection, id: str | None, destination: str | None) -> None:
        """End the subscription with this id, or without an id to this destination.

        Raises:
            ProtocolError: Its connection has none such.
        """
        with self._changed:
            for each in self._of(connection):
                if each.id == id or (id is None and each.destination == destination):
                    self._end([each])
                    return
        raise ProtocolError(f"there is no subscription '{id or destination}'")

    def disconnect(self, connection: Connection) -> None:
        """End all subscriptions of `connection`; what a queue gave it goes to others."""
        with self._changed:
            self._end(self._of(connection))

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Wait up to `seconds` until `destination` has a subscriber; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._to(destination)), seconds)

    def cut(self, destination: str) -> None:
        """Cut the connections of all who listen to `destination`."""
        with self._changed:
            for each in self._to(destination):
                each.connection.drop()

    def send(self, message: Message) -> None:
        """Give `message` to a subscriber of its queue, or to all of its topic."""
        self.commit(None, [message], [])

    def commit(
        self, connection: Connection | None, messages: list[Message], verdicts: list[Verdict]
    ) -> None:
        """Send `messages` and apply `connection`'s `verdicts`: all of it or nothing.

        Raises:
            ProtocolError: A verdict is about no message, or a queue is full.
        """
        with self._changed:
            judged = [(verdict, *self._find(connection, verdict)) for verdict in verdicts]
            settled: dict[tuple[Subscription, str], bool] = {}
            for verdict, subscription, token in judged:
                for each in _covered(subscription, token):
                    settled.setdefault((subscription, each), verdict.accepted)
            refused = [
                subscription.pending[token]
                for (subscription, token), accepted in settled.items()
                if not accepted
            ]
            arriving = [*messages, *map(_dead_letter, refused)]
            self._check_room(arriving)
            for subscription, token in settled:
                del subscription.pending[token]
            for message in arriving:
                self._place(message)
            for _, subscription, _ in judged:
                self._drain(subscription.destination)

    def _find(self, connection: Connection | None, verdict: Verdict) -> tuple[Subscription, str]:
        for each in self._subscriptions:
            if each.connection is not connection:
                continue
            if verdict.subscription is not None and each.id != verdict.subscription:
                continue
            token = verdict.token or each.token(verdict.message_id or "")
            if token in each.pending:
                return each, token
        named = verdict.token or verdict.message_id
        raise ProtocolError(f"there is no message '{named}' to acknowledge")

    def _check_room(self, messages: Iterable[Message]) -> None:
        for message in messages:
            queue = self._queues.get(message.headers["destination"], ())
            if len(queue) >= MAX_WAITING:
                raise ProtocolError(f"queue '{message.headers['destination']}' is full")

    def _place(self, message: Message) -> None:
        destination = message.headers["destination"]
        if _is_queue(destination):
            self._queues.setdefault(destination, deque()).append(message)
        else:
            for each in self._to(destination):
                each.waiting.append(message)
                if len(each.waiting) > MAX_WAITING:
                    each.connection.drop()
                    self._end([each])
        self._drain(destination)

    def _drain(self, destination: str) -> None:
        """Hand on what waits, while there is someone to take it."""
        if not _is_queue(destination):
            for each in self._to(destination):
                while each.waiting and each.has_room:
                    _deliver(each, each.waiting.popleft())
            return
        queue = self._queues.get(destination)
        while queue:
            takers = [each for each in self._to(destination) if each.has_room]
            if not takers:
                return
            # Whoever was served goes to the end of the list: all in turn.
            self._subscriptions.remove(takers[0])
            self._subscriptions.append(takers[0])
            _deliver(takers[0], queue.popleft())
        self._queues.pop(destination, None)

    def _end(self, subscriptions: list[Subscription]) -> None:
        for each in subscriptions:
            self._subscriptions.remove(each)
        for each in subscriptions:
            if _is_queue(each.destination) and each.pending:
                queue = self._queues.setdefault(each.destination, deque())
                again = [replace(message, redelivered=True) for message in each.pending.values()]
                queue.extendleft(reversed(again))
            self._drain(each.destination)

    def _of(self, connection: Connection) -> list[Subscription]:
        return [each for each in self._subscriptions if each.connection is connection]

    def _to(self, destination: str) -> list[Subscription]:
        return [each for each in self._subscriptions if each.destination == destination]


def _is_queue(destination: str) -> bool:
    """Return whether `destination` is a queue; anything else is a topic."""
    return destination.startswith("/queue/")


def message_of(frame: Frame, clock: Callable[[], float] = time.time) -> Message:
    """Return what a SEND frame sends, with a message-id and a timestamp of the broker's.

    Raises:
        ProtocolError: It has no destination.
    """
    if not frame.headers.get("destination"):
        raise ProtocolError("SEND has no destination")
    own = {"receipt", "transaction", "content-length", "message-id", "subscription", "ack"}
    headers = {name: value for name, value in frame.headers.items() if name not in own}
    headers["message-id"] = str(uuid.uuid4())
    headers["timestamp"] = str(int(clock() * 1000))
    body = frame.body if isinstance(frame.body, bytes) else frame.body.encode()
    return Message(headers, body)


def _deliver(subscription: Subscription, message: Message) -> None:
    headers = {**message.headers, "subscription": subscription.id}
    if message.redelivered:
        headers["redelivered"] = "true"
    if subscription.ack != "auto":
        token = subscription.token(message.headers["message-id"])
        subscription.pending[token] = message
        headers["ack"] = token
    subscription.connection.send_frame(Frame("MESSAGE", headers, message.body))


def _covered(subscription: Subscription, token: str) -> list[str]:
    """Return what an ACK or NACK is about: with ack "client" the messages before it, too."""
    if subscription.ack != "client":
        return [token]
    pending = list(subscription.pending)
    return pending[: pending.index(token) + 1]


def _dead_letter(message: Message) -> Message:
    headers = {**message.headers, "destination": DEAD_LETTERS}
    headers["original-destination"] = message.headers["destination"]
    return replace(message, headers=headers)
