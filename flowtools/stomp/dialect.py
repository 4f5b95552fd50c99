"""The differences between brokers: headers of a subscription, acknowledgements, message ids.

STOMP leaves prefetch, durable subscriptions and the identity of a message to the broker.
The `server` header of CONNECTED names the broker. If it does not, the headers of all brokers are
sent, since a broker ignores headers that it does not know.

Sources: RabbitMQ, "STOMP plugin" guide; ActiveMQ Classic, "Stomp" page (Stomp extensions
to JMS); ActiveMQ Artemis user manual, "STOMP". Ids, CoilMQ, and what a broker does with an
acknowledgement were tried with RabbitMQ 3.10.8, ActiveMQ 5.17.2, CoilMQ 1.1.0.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from flowtools.ack.records import Reason
from flowtools.core.event import digest
from flowtools.stomp.frames import Frame, escape

Broker = Literal["rabbitmq", "activemq", "artemis", "coilmq", "unknown"]

_ARTEMIS_MESSAGE = 1024
"""Bytes of Artemis's window, which is counted in bytes, for each message of --prefetch."""

LENT = 65_535
"""Maximum number of messages that RabbitMQ delivers before one is acknowledged."""

_NACK_IS_FREE = (4, 3)
"""The first release of RabbitMQ that does not count a NACK as an unsuccessful delivery."""

_ALL = 1_000_000_000
"""A prefetch for ActiveMQ larger than any queue; with 0 it would deliver nothing."""

_NOT_THE_SENDERS = frozenset(
    {
        "message-id",
        "subscription",
        "ack",
        "redelivered",
        "content-length",
        "destination",
        "receipt",
        "transaction",
        "timestamp",
        "expires",
    }
)

_BROKERS_OWN = (
    # RabbitMQ: counts of deliveries (quorum queues), and records of earlier dead-lettering.
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-",
    "x-acquired-",
    # Artemis: a message's earlier queue; its duplicate detection, which would drop a copy.
    "_AMQ_",
)
"""Prefixes of the headers that brokers set; a sender's own headers do not begin with them."""

_NOT_AGAIN = frozenset(
    {
        # How long RabbitMQ keeps a message, and the kind of queue that it declares. With a
        # sender's auto-delete, for example, the dead letters would vanish with their queue.
        "expiration",
        "auto-delete",
        "durable",
        "exclusive",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-message-ttl",
        "x-overflow",
        "x-queue-name",
        "x-queue-type",
        "x-single-active-consumer",
        # When and how often ActiveMQ delivers the message.
        "AMQ_SCHEDULED_CRON",
        "AMQ_SCHEDULED_DELAY",
        "AMQ_SCHEDULED_PERIOD",
        "AMQ_SCHEDULED_REPEAT",
    }
)
"""A sender's headers that instruct the broker about the original message, not about a copy."""


class Dialect:
    """The habits of one broker in one session.

    Attributes:
        broker: The name of the broker.
        version: The protocol version of the session.
        individual: Whether messages can be acknowledged in any order. If not, each message is
            acknowledged after those before it, which every broker understands in the same way.
        cumulative: Whether, in ack mode client, one acknowledgement covers all earlier messages.
        commits: Whether the receipt of a COMMIT means that its whole transaction is safe.
            RabbitMQ's does not. ActiveMQ's does, and ActiveMQ then writes to disk once per
            transaction instead of once per message.
    """

    def __init__(self, server: str, version: str) -> None:
        self.broker = _broker(server)
        self._release = _release(server)
        self.version = version
        # CoilMQ knows only the ack modes auto and client, and has one message in flight.
        self.individual = self.broker != "coilmq" and (version != "1.0" or self.broker != "unknown")
        self.commits = self.broker == "activemq"
        self.cumulative = version != "1.0" or self.broker != "unknown"

    def prefetch_headers(self, prefetch: int) -> dict[str, str]:
        """Return the headers that limit the unacknowledged messages to `prefetch`."""
        return self._pick(
            rabbitmq={"prefetch-count": str(prefetch)},
            activemq={"activemq.prefetchSize": str(prefetch)},
            artemis={"consumer-window-size": str(prefetch * _ARTEMIS_MESSAGE)},
        )

    @property
    def browses(self) -> bool:
        """Whether the broker can show messages without delivering them (Artemis 2.56 cannot)."""
        return self.broker == "activemq"

    def browser_headers(self) -> dict[str, str]:
        """Return the headers for a look at a queue, if the broker `browses`."""
        return {"browser": "true"}

    @property
    def lends(self) -> int | None:
        """Maximum number of messages delivered before one is acknowledged; None: unlimited.

        RabbitMQ counts in 16 bits; 0 means unlimited, but 2,000 for a quorum queue.
        """
        return LENT if self.broker == "rabbitmq" else None

    @property
    def lends_whole(self) -> bool:
        """Whether a queue keeps its order only if all its messages have been lent.

        Tried: when three messages came back while others waited, RabbitMQ's quorum queues and
        ActiveMQ put them behind the others; Artemis put them back in their places.
        """
        return self.broker in ("rabbitmq", "activemq")

    def lending_headers(self) -> dict[str, str]:
        """Return the headers for a delivery of the whole queue before any acknowledgement."""
        return self._pick(
            rabbitmq={"prefetch-count": str(LENT)},
            activemq={"activemq.prefetchSize": str(_ALL)},
            artemis={"consumer-window-size": "-1"},
        )

    @property
    def gives_back(self) -> Literal["at the end", "by UNSUBSCRIBE", "by NACK"]:
        """How to give messages back so that no unsuccessful delivery is counted.

        Tried 25 times in a row with 1,000 messages, which stayed in order. RabbitMQ's quorum
        queues and Artemis count a delivery when the connection ends. Artemis does not count
        after UNSUBSCRIBE. RabbitMQ 4.3 does not count a NACK ("Negative Acknowledgements" in its
        documentation). RabbitMQ 3.10 counts it, and a quorum queue without a delivery limit puts
        the message behind all others (tried), so that a key would lose its order. ActiveMQ and
        classic queues have no count.
        """
        if self.broker == "artemis":
            return "by UNSUBSCRIBE"
        by_nack = self.broker == "rabbitmq" and self._release >= _NACK_IS_FREE
        return "by NACK" if by_nack else "at the end"

    def narrow_headers(self) -> dict[str, str]:
        """Return the headers that limit the unacknowledged messages to one of any size."""
        # Artemis sends a message as long as one byte of the window is left.
        return (
            {"consumer-window-size": "1"} if self.broker == "artemis" else self.prefetch_headers(1)
        )

    def routing_headers(self, destination: str, *, to: str) -> dict[str, str]:
        """Return the headers that say whether `destination` is a queue or a topic.

        Artemis needs them unless its acceptor has prefixes for queues and topics; it treats an
        unknown destination as a topic. `to` is the kind of header: "subscription" or
        "destination".
        """
        for prefix, kind in (("/queue/", "ANYCAST"), ("/topic/", "MULTICAST")):
            if self.broker == "artemis" and destination.startswith(prefix):
                return {f"{to}-type": kind}
        return {}

    def durable_headers(self, name: str) -> dict[str, str]:
        """Return the headers of a subscription that outlives its connection.

        On ActiveMQ and Artemis the subscription belongs to the `client-id` of CONNECT, on
        RabbitMQ to the `id` of SUBSCRIBE. Both have to be `name`.
        """
        return self._pick(
            rabbitmq={"durable": "true", "auto-delete": "false"},
            activemq={"activemq.subscriptionName": name},
            artemis={"durable-subscription-name": name},
        )

    def last(self, messages: list[Frame]) -> list[Frame]:
        """Return the messages whose acknowledgement, in ack mode client, covers all `messages`.

        On RabbitMQ an acknowledgement covers all earlier messages of the connection, and a
        second one for any of them is an error. On the other brokers it covers all earlier
        messages of its subscription.
        """
        if self.broker == "rabbitmq":
            return messages[-1:]
        return list({each.headers.get("subscription"): each for each in messages}.values())

    def body_headers(self, body: bytes) -> dict[str, str]:
        """Return the header with the length of `body`.

        ActiveMQ and Artemis get text without it: with a length, JMS programs would receive it
        as a BytesMessage.
        """
        if self.broker in ("activemq", "artemis") and b"\0" not in body:
            return {}
        return {"content-length": str(len(body))}

    def ack_headers(self, message: Frame) -> str:
        """Return the escaped header lines that identify `message` in an ACK frame."""
        headers = message.headers
        if self.version == "1.2" and "ack" in headers:
            return f"id:{escape(headers['ack'], '1.2')}\n"
        message_id = escape(headers.get("message-id", ""), self.version)
        if self.version == "1.0":
            return f"message-id:{message_id}\n"
        subscription = escape(headers.get("subscription", ""), self.version)
        lines = f"message-id:{message_id}\nsubscription:{subscription}\n"
        # CoilMQ gives no `ack` header in 1.2, and wants the subscription as the id.
        return f"id:{subscription}\n{lines}" if self.version == "1.2" else lines

    @property
    def counts(self) -> bool:
        """Whether the broker may drop a message after too many unsuccessful deliveries."""
        return self.broker in ("rabbitmq", "artemis")

    @property
    def tells_failed(self) -> bool:
        """Whether a broker that limits unsuccessful deliveries tells how many there were."""
        return self.broker != "artemis"

    def failed_deliveries(self, message: Frame) -> int | None:
        """Return the number of unsuccessful deliveries; None if the broker does not tell.

        RabbitMQ's quorum queues tell. RabbitMQ 4.3 counts only failed deliveries in
        x-delivery-count; x-acquired-count includes those that were handed back with NACK.
        """
        if message.headers.get("redelivered") != "true":
            return 0
        count = message.headers.get("x-delivery-count", "")
        if count.isdecimal() and len(count) < 10:
            return int(count)
        return 0 if "x-acquired-count" in message.headers else None

    def event_id(self, message: Frame) -> str:
        """Return an id that `message` keeps when it is delivered again."""
        headers = message.headers
        if self.broker == "activemq" and headers.get("message-id"):
            return headers["message-id"]
        if self.broker == "artemis":
            # `message-id` holds the number of the consumer, which changes between deliveries,
            # and the number of the message in the journal, which does not.
            _, comma, number = headers.get("message-id", "").partition(",")
            if comma and "timestamp" in headers:
                return f"{number}-{headers['timestamp']}"
        own = sorted([f"{key}\0{headers[key]}" for key in headers if not _is_the_brokers(key)])
        # NUL is a safe separator: no header can contain it.
        return digest("\0".join([headers.get("destination", ""), *own]), message.body)

    def _pick(self, **of_brokers: dict[str, str]) -> dict[str, str]:
        if self.broker != "unknown":
            return of_brokers.get(self.broker, {})
        return {key: value for headers in of_brokers.values() for key, value in headers.items()}


def dead_letter_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a dead letter takes over from its message.

    These are the sender's headers. Those that instruct the broker, and could make it discard the
    copy, are renamed to flow-refused-NAME.
    """
    return {
        f"flow-refused-{key}" if key in _NOT_AGAIN else key: value
        for key, value in headers.items()
        if not _is_the_brokers(key)
    }


FAILURE_HEADERS = {
    "flow-error": "error",
    "flow-attempts": "attempts",
    "flow-worker": "worker",
    "flow-host": "host",
    "flow-failed-at": "time",
}
"""Headers of a dead letter that say why its event failed, each with its field of `Reason`."""


def failure_headers(reason: Reason) -> dict[str, str]:
    """Return the headers that say why a message became a dead letter, without empty ones."""
    fields = Reason.decode(reason.encode()) or reason  # Makes the texts bounded and printable.
    said = {name: str(getattr(fields, field)) for name, field in FAILURE_HEADERS.items()}
    return {name: text for name, text in said.items() if text}


def death_of(headers: Mapping[str, str]) -> str:
    """Return why the broker itself made a message a dead letter; "" if it does not say."""
    if cause := headers.get("dlqDeliveryFailureCause"):
        return f"moved by ActiveMQ: {cause}"
    reason = headers.get("x-last-death-reason") or headers.get("x-first-death-reason")
    if reason:
        queue = headers.get("x-last-death-queue") or headers.get("x-first-death-queue", "")
        return f"moved by RabbitMQ from queue '{queue}': {reason}"
    return ""


@lru_cache(maxsize=1024)  # Called for every header of every message; there are few names.
def _is_the_brokers(header: str) -> bool:
    return header in _NOT_THE_SENDERS or header.startswith(_BROKERS_OWN)


def dead_letter_destination(destination: str) -> str:
    """Return the default dead-letter destination for rejected messages of `destination`.

    The result is always a queue: a topic without a subscriber would lose them. It is a single
    queue, since ActiveMQ sends a copy to each of several names with commas. And no wildcard of
    `destination` should match it, or rejected messages would be delivered again for ever (see
    `takes`).
    """
    for prefix in ("/topic/", "/exchange/", "/amq/queue/"):
        if destination.startswith(prefix):
            return f"/queue/{_plain(destination.removeprefix(prefix).replace('/', '.'))}.failed"
    if "," in destination or any(_is_pattern(name) for name in _queues(destination)):
        return f"/queue/failed.{_plain('_'.join(_queues(destination)))}"
    return f"{destination}.failed"


def takes(destination: str, queue: str) -> bool:
    """Return whether a subscription to `destination`, queues or wildcards, includes `queue`.

    Wildcards are those of ActiveMQ: between dots, `*` matches one part and `>` all the rest.
    """
    return any(
        _matches(pattern.split("."), name.split("."))
        for pattern in _queues(destination)
        for name in _queues(queue)
    )


def _queues(destination: str) -> list[str]:
    if not destination.startswith("/queue/"):
        return []
    names = [name.removeprefix("/queue/") for name in destination.split(",")]
    return [name for name in names if not name.startswith("/")]


def _is_pattern(name: str) -> bool:
    return not {"*", ">"}.isdisjoint(name.split("."))


def _matches(pattern: list[str], name: list[str]) -> bool:
    if not pattern or not name:
        return pattern == name
    if pattern[0] == ">":
        return True
    return pattern[0] in ("*", name[0]) and _matches(pattern[1:], name[1:])


def _plain(name: str) -> str:
    return re.sub("[*#>,]", "_", name)


def _broker(server: str) -> Broker:
    server = server.lower()
    if server.startswith("rabbitmq"):
        return "rabbitmq"
    if "artemis" in server:
        return "artemis"
    if server.startswith(("activemq", "apache-activemq")):
        return "activemq"
    return "coilmq" if server.startswith("coilmq") else "unknown"


def _release(server: str) -> tuple[int, ...]:
    """Return the first two numbers of the version in a `server` header; empty if it has none."""
    found = re.search(r"/([0-9]{1,4})\.([0-9]{1,4})", server)
    return tuple(map(int, found.groups())) if found else ()
