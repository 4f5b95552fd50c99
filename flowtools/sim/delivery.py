"""Queues and topics of the stand-in's broker: prefetch, acknowledgement, redelivery.

This replaces CoilMQ's queue and topic managers. Those know neither client-individual
acknowledgement nor several messages in flight, and they send while they hold a lock.

How a message travels: `commit` puts it at the end of its queue, or into the `waiting` messages
of each subscription to its topic (`_place`). From there it is delivered to subscriptions with
room in their prefetch (`_drain`), which only puts it into the outgoing queue of a connection, so
that no publisher waits for a client. Until it is acknowledged it is in `pending` of its
subscription. If the subscription ends first, a queue's message goes back to the head of the
queue, marked as redelivered; a topic's message is lost.

One lock guards everything. Nothing is written to disk.
"""

import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from threading import Condition
from typing import Literal, Protocol

from coilmq.exception import ProtocolError
from coilmq.util.frames import Frame

Ack = Literal["auto", "client", "client-individual"]

MAX_WAITING = 100_000
"""Messages that may wait in a queue, or for a slow subscriber of a topic."""

DEAD_LETTERS = "/queue/ActiveMQ.DLQ"
"""Destination of messages that are rejected with NACK, named as on ActiveMQ Classic."""


class Connection(Protocol):
    """Where a client's frames go. Neither method waits: both are called with the lock held."""

    def send_frame(self, frame: Frame) -> None:
        """Queue `frame` to be sent."""

    def drop(self) -> None:
        """Close the connection at once."""


@dataclass(frozen=True)
class Message:
    """A message: headers (`destination` and `message-id` among them) and body.

    `redelivered` is true if an earlier subscription had the message and did not acknowledge it.
    """

    headers: dict[str, str]
    body: bytes
    redelivered: bool = False


@dataclass(eq=False)
class Subscription:
    """A client's subscription.

    Attributes:
        connection: Connection of the client.
        id: Id that the client chose; unique within the connection.
        destination: Name of the queue or topic.
        ack: How messages are acknowledged.
        prefetch: Maximum number of unacknowledged messages; not used with ack "auto".
        waiting: Messages of a topic for which there is no room yet.
        pending: Unacknowledged messages by token, the oldest first.
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
        """Whether another message may be delivered now."""
        return self.ack == "auto" or len(self.pending) < self.prefetch

    def token(self, message_id: str) -> str:
        """Return the value of the `ack` header (STOMP 1.2) for a message of this subscription."""
        return f"{self.id}/{message_id}"


@dataclass(frozen=True)
class Verdict:
    """An ACK or NACK, which names one message.

    Attributes:
        accepted: True for ACK, False for NACK.
        token: Value of the `ack` header; STOMP 1.2.
        message_id: The message-id; STOMP 1.0 and 1.1.
        subscription: Id of the subscription; None: any of the connection (STOMP 1.0).
    """

    accepted: bool
    token: str | None = None
    message_id: str | None = None
    subscription: str | None = None


class Delivery:
    """All queues, topics and subscriptions. Thread-safe; only `has_subscriber` waits."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._subscriptions: list[Subscription] = []
        self._queues: dict[str, deque[Message]] = {}

    def close(self) -> None:
        """Do nothing; CoilMQ's server calls this, and there is nothing on disk to close."""

    def subscribe(self, subscription: Subscription) -> None:
        """Add `subscription` and deliver what waits in its queue.

        Raises:
            ProtocolError: The connection already has a subscription with this id.
        """
        with self._changed:
            if any(each.id == subscription.id for each in self._of(subscription.connection)):
                raise ProtocolError(f"there is a subscription '{subscription.id}' already")
            self._subscriptions.append(subscription)
            self._changed.notify_all()
            self._drain(subscription.destination)

    def unsubscribe(self, connection: Connection, id: str | None, destination: str | None) -> None:
        """End the subscription with this id; without an id, the one to this destination.

        Raises:
            ProtocolError: The connection has no such subscription.
        """
        with self._changed:
            for each in self._of(connection):
                if each.id == id or (id is None and each.destination == destination):
                    self._end([each])
                    return
        raise ProtocolError(f"there is no subscription '{id or destination}'")

    def disconnect(self, connection: Connection) -> None:
        """End all subscriptions of `connection`; unacknowledged messages return to their queues."""
        with self._changed:
            self._end(self._of(connection))

    def has_subscriber(self, destination: str, seconds: float) -> bool:
        """Wait up to `seconds` for a subscriber of `destination`; return whether there is one."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._to(destination)), seconds)

    def cut(self, destination: str) -> None:
        """Cut the connections of all subscribers of `destination`."""
        with self._changed:
            for each in self._to(destination):
                each.connection.drop()

    def send(self, message: Message) -> None:
        """Deliver `message`: to one subscriber of its queue, or to all subscribers of its topic.

        Raises:
            ProtocolError: The queue is full.
        """
        self.commit(None, [message], [])

    def commit(
        self, connection: Connection | None, messages: list[Message], verdicts: list[Verdict]
    ) -> None:
        """Send `messages` and apply the `verdicts` of `connection`: all of it, or nothing.

        Raises:
            ProtocolError: A verdict names a message that is not in flight, or a queue is full.
        """
        with self._changed:
            # Up to `_check_room` nothing is changed: an error must leave a transaction undone.
            judged = [(verdict, *self._find(connection, verdict)) for verdict in verdicts]
            settled: dict[tuple[Subscription, str], bool] = {}
            for verdict, subscription, token in judged:
                # The first verdict on a message counts: with ack "client" a later one of the same
                # transaction covers it again.
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
            # Each verdict has made room in a prefetch, so more messages can be delivered.
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
        # All messages of a commit together: they arrive at once.
        arriving = Counter(each.headers["destination"] for each in messages)
        for destination, count in arriving.items():
            waiting = len(self._queues.get(destination, ()))
            if _is_queue(destination) and waiting + count > MAX_WAITING:
                raise ProtocolError(f"queue '{destination}' is full")

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
        """Deliver waiting messages of `destination` while a subscription has room."""
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
            # The one that gets the message moves to the end of the list, so that all take turns.
            self._subscriptions.remove(takers[0])
            self._subscriptions.append(takers[0])
            _deliver(takers[0], queue.popleft())
        # Empty queues are forgotten: clients choose the names, and there may be very many.
        self._queues.pop(destination, None)

    def _end(self, subscriptions: list[Subscription]) -> None:
        # All of them first: a message must not be delivered to another one that is ending, too.
        for each in subscriptions:
            self._subscriptions.remove(each)
        for each in subscriptions:
            if _is_queue(each.destination) and each.pending:
                queue = self._queues.setdefault(each.destination, deque())
                again = [replace(message, redelivered=True) for message in each.pending.values()]
                # To the head, in their old order: a redelivered message is older than the rest.
                queue.extendleft(reversed(again))
            self._drain(each.destination)

    def _of(self, connection: Connection) -> list[Subscription]:
        return [each for each in self._subscriptions if each.connection is connection]

    def _to(self, destination: str) -> list[Subscription]:
        return [each for each in self._subscriptions if each.destination == destination]


def _is_queue(destination: str) -> bool:
    """Return whether `destination` is a queue. Any other name is that of a topic."""
    return destination.startswith("/queue/")


def message_of(frame: Frame, clock: Callable[[], float] = time.time) -> Message:
    """Return the message of a SEND frame, with a message-id and timestamp from the broker.

    Args:
        frame: The SEND frame.
        clock: Returns the present time in seconds since the epoch.

    Raises:
        ProtocolError: The frame has no destination.
    """
    if not frame.headers.get("destination"):
        raise ProtocolError("SEND has no destination")
    # Headers about the frame itself, and those that only a broker may set. All others are the
    # sender's own, and are delivered with the message.
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
    """Return the tokens that an ACK or NACK settles: with ack "client" all earlier ones, too."""
    if subscription.ack != "client":
        return [token]
    pending = list(subscription.pending)
    return pending[: pending.index(token) + 1]


def _dead_letter(message: Message) -> Message:
    headers = {**message.headers, "destination": DEAD_LETTERS}
    headers["original-destination"] = message.headers["destination"]
    return replace(message, headers=headers)
