"""What brokers do differently: the headers of a subscription, acknowledgements, ids.

STOMP leaves prefetch, durable subscriptions and the identity of a message to the broker.
The `server` header of CONNECTED tells which one it is; where it does not, the headers of
all brokers are sent, since a broker ignores those it does not know.

Sources: RabbitMQ, "STOMP plugin" guide; ActiveMQ Classic, "Stomp" page (Stomp extensions
to JMS); ActiveMQ Artemis user manual, "STOMP". Ids, CoilMQ and what a broker does with an
acknowledgement: tried with RabbitMQ 3.10.8, ActiveMQ 5.17.2, CoilMQ 1.1.0.
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
"""Bytes that Artemis's window, which is in bytes, gives each message of --prefetch."""

LENT = 65_535
"""Messages that RabbitMQ delivers at most before one is acknowledged."""

_ALL = 1_000_000_000
"""A prefetch of ActiveMQ's that is more than any queue holds; with 0 it would deliver none."""

TROUBLE = "Processing error"
"""All that RabbitMQ says where something failed inside it, and not because of what was asked: two
clients that declare one quorum queue at the same time, for example (tried: 4.3.6)."""

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
    # RabbitMQ counts deliveries (quorum queues) and tells of earlier dead-lettering.
    "x-death",
    "x-first-death-",
    "x-last-death-",
    "x-delivery-",
    "x-acquired-",
    # Artemis: where a message was before; its duplicate detection, which would swallow a copy.
    "_AMQ_",
)
"""Prefixes of headers that brokers set; a sender's own do not begin so."""

_NOT_AGAIN = frozenset(
    {
        # How long RabbitMQ keeps a message, and what queue it makes of the destination: one of
        # a sender's that is to go by itself would take the dead letters with it.
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
        # When, and how often, ActiveMQ delivers it.
        "AMQ_SCHEDULED_CRON",
        "AMQ_SCHEDULED_DELAY",
        "AMQ_SCHEDULED_PERIOD",
        "AMQ_SCHEDULED_REPEAT",
    }
)
"""Headers of a sender's that were for the broker, and were about its own message."""


class Dialect:
    """One broker in one session.

    Attributes:
        broker: Which it is.
        version: The protocol version of the session.
        individual: Whether messages can be acknowledged in any order. If not, each is
            acknowledged after those before it, which means the same to every broker.
        cumulative: Whether, in ack mode client, one acknowledgement covers all before it.
        commits: Whether the receipt of a COMMIT says that all of its transaction is safe.
            RabbitMQ's does not; ActiveMQ's does, and it then writes to disk once and not
            for each message.
    """

    def __init__(self, server: str, version: str) -> None:
        self.broker = _broker(server)
        self.version = version
        # CoilMQ knows ack modes auto and client only, and has one message in flight.
        self.individual = self.broker != "coilmq" and (version != "1.0" or self.broker != "unknown")
        self.commits = self.broker == "activemq"
        self.cumulative = version != "1.0" or self.broker != "unknown"

    def prefetch_headers(self, prefetch: int) -> dict[str, str]:
        """Return the headers that keep at most `prefetch` messages unacknowledged here."""
        return self._pick(
            rabbitmq={"prefetch-count": str(prefetch)},
            activemq={"activemq.prefetchSize": str(prefetch)},
            artemis={"consumer-window-size": str(prefetch * _ARTEMIS_MESSAGE)},
        )

    @property
    def browses(self) -> bool:
        """Whether it can show what a queue holds without delivering it (Artemis 2.56 cannot)."""
        return self.broker == "activemq"

    def browser_headers(self) -> dict[str, str]:
        """Return the headers of a look at a queue that `browses`."""
        return {"browser": "true"}

    @property
    def lends(self) -> int | None:
        """How many messages it delivers at most before one is acknowledged; None: any number.

        RabbitMQ counts in 16 bits; 0, which is no bound, means 2,000 to a quorum queue.
        """
        return LENT if self.broker == "rabbitmq" else None

    @property
    def lends_whole(self) -> bool:
        """Whether a queue keeps its order only if all of it has been lent.

        Tried: of three messages that came back while others waited, RabbitMQ's quorum queues
        and ActiveMQ put the three behind the others; Artemis puts them in their places.
        """
        return self.broker in ("rabbitmq", "activemq")

    def lending_headers(self) -> dict[str, str]:
        """Return the headers that have a whole queue delivered before any is acknowledged."""
        return self._pick(
            rabbitmq={"prefetch-count": str(LENT)},
            activemq={"activemq.prefetchSize": str(_ALL)},
            artemis={"consumer-window-size": "-1"},
        )

    @property
    def gives_back(self) -> Literal["at the end", "by UNSUBSCRIBE", "by NACK"]:
        """How messages get back to their queue without being counted as delivered in vain.

        Tried 25 times in a row with 1,000 messages, which stayed in order: an end of the
        connection counts on RabbitMQ's quorum queues and on Artemis. Artemis does not count
        after UNSUBSCRIBE, RabbitMQ 4.3 does not count NACK; RabbitMQ 3.10 counts anyway, and
        ActiveMQ and classic queues have no count.
        """
        known: dict[str, Literal["by UNSUBSCRIBE", "by NACK"]]
        known = {"artemis": "by UNSUBSCRIBE", "rabbitmq": "by NACK"}
        return known.get(self.broker, "at the end")

    def narrow_headers(self) -> dict[str, str]:
        """Return the headers that keep one message unacknowledged here, whatever its size."""
        # Artemis sends while a byte of the window is left.
        return (
            {"consumer-window-size": "1"} if self.broker == "artemis" else self.prefetch_headers(1)
        )

    def routing_headers(self, destination: str, *, to: str) -> dict[str, str]:
        """Return the headers that say whether `destination` is a queue or a topic.

        Artemis tells by them, unless its acceptor has prefixes for the two, and takes what
        is not known for a topic. `to` is "subscription" or "destination": what is named.
        """
        for prefix, kind in (("/queue/", "ANYCAST"), ("/topic/", "MULTICAST")):
            if self.broker == "artemis" and destination.startswith(prefix):
                return {f"{to}-type": kind}
        return {}

    def durable_headers(self, name: str) -> dict[str, str]:
        """Return the headers of a subscription that outlives its connection.

        On ActiveMQ and Artemis it belongs to the `client-id` of CONNECT, on RabbitMQ to
        the `id` of SUBSCRIBE: both have to be `name`.
        """
        return self._pick(
            rabbitmq={"durable": "true", "auto-delete": "false"},
            activemq={"activemq.subscriptionName": name},
            artemis={"durable-subscription-name": name},
        )

    def last(self, messages: list[Frame]) -> list[Frame]:
        """Return those whose acknowledgement, in ack mode client, covers all `messages`.

        For RabbitMQ it covers all of the connection, and another one for a message before
        is an error; for the others all of its subscription.
        """
        if self.broker == "rabbitmq":
            return messages[-1:]
        return list({each.headers.get("subscription"): each for each in messages}.values())

    def body_headers(self, body: bytes) -> dict[str, str]:
        """Return the header that tells the length of a text that is sent.

        For ActiveMQ and Artemis, text goes without: with a length it would reach JMS
        programs as a BytesMessage.
        """
        if self.broker in ("activemq", "artemis") and b"\0" not in body:
            return {}
        return {"content-length": str(len(body))}

    def ack_headers(self, message: Frame) -> str:
        """Return the header lines that name `message` in an ACK frame, escaped."""
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
        """Whether the broker may drop a message that was delivered too often in vain."""
        return self.broker in ("rabbitmq", "artemis")

    @property
    def tells_failed(self) -> bool:
        """Whether it tells how often a message was delivered in vain, if that has a limit."""
        return self.broker != "artemis"

    def failed_deliveries(self, message: Frame) -> int | None:
        """Return how often `message` was delivered in vain; None where that is not told.

        RabbitMQ's quorum queues tell: 4.3 counts in x-delivery-count only what failed, and
        in x-acquired-count what was handed back (NACK), too.
        """
        if message.headers.get("redelivered") != "true":
            return 0
        count = message.headers.get("x-delivery-count", "")
        if count.isdecimal() and len(count) < 10:
            return int(count)
        return 0 if "x-acquired-count" in message.headers else None

    def event_id(self, message: Frame) -> str:
        """Return an id that `message` keeps whenever it is delivered again."""
        headers = message.headers
        if self.broker == "activemq" and headers.get("message-id"):
            return headers["message-id"]
        if self.broker == "artemis":
            # The number of the consumer, which changes, and that of the message in the journal.
            _, comma, number = headers.get("message-id", "").partition(",")
            if comma and "timestamp" in headers:
                return f"{number}-{headers['timestamp']}"
        own = sorted([f"{key}\0{headers[key]}" for key in headers if not _is_the_brokers(key)])
        # No header can hold a NUL.
        return digest("\0".join([headers.get("destination", ""), *own]), message.body)

    def _pick(self, **of_brokers: dict[str, str]) -> dict[str, str]:
        if self.broker != "unknown":
            return of_brokers.get(self.broker, {})
        return {key: value for headers in of_brokers.values() for key, value in headers.items()}


def dead_letter_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what a dead letter has of the headers of its message.

    Those of the sender; what would make the broker throw it away has another name.
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
"""Headers of a dead letter that say why its event failed, and the field of `Reason` for each."""


def failure_headers(reason: Reason) -> dict[str, str]:
    """Return the headers that say why a message has become a dead letter; none is empty."""
    fields = Reason.decode(reason.encode()) or reason  # So bounded and printable.
    said = {name: str(getattr(fields, field)) for name, field in FAILURE_HEADERS.items()}
    return {name: text for name, text in said.items() if text}


def death_of(headers: Mapping[str, str]) -> str:
    """Return why the broker itself has made a message a dead letter; empty: it does not say."""
    if cause := headers.get("dlqDeliveryFailureCause"):
        return f"moved by ActiveMQ: {cause}"
    reason = headers.get("x-last-death-reason") or headers.get("x-first-death-reason")
    if reason:
        queue = headers.get("x-last-death-queue") or headers.get("x-first-death-queue", "")
        return f"moved by RabbitMQ from queue '{queue}': {reason}"
    return ""


@lru_cache(maxsize=1024)  # Asked for every header of every message, and there are few names.
def _is_the_brokers(header: str) -> bool:
    return header in _NOT_THE_SENDERS or header.startswith(_BROKERS_OWN)


def dead_letter_destination(destination: str) -> str:
    """Return where messages of `destination` go that have been refused for good.

    Always a queue: in a topic without a subscriber they would be gone. And one queue, outside
    of a wildcard where that leaves anything out: ActiveMQ sends to each of several names with
    commas, and what the subscription takes would come again, for ever (see `takes`).
    """
    for prefix in ("/topic/", "/exchange/", "/amq/queue/"):
        if destination.startswith(prefix):
            return f"/queue/{_plain(destination.removeprefix(prefix).replace('/', '.'))}.failed"
    if "," in destination or any(_is_pattern(name) for name in _queues(destination)):
        return f"/queue/failed.{_plain('_'.join(_queues(destination)))}"
    return f"{destination}.failed"


def takes(destination: str, queue: str) -> bool:
    """Return whether a subscription to `destination`, queues or wildcards, takes from `queue`.

    A wildcard is that of ActiveMQ: parts between dots, of which `*` is any one and `>` the rest.
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
