"""Checks of a broker that several servers share: its hosts, and the kind of its queues.

RabbitMQ refuses to declare an existing queue with other arguments, and its error names the kind of
the queue. So the check subscribes as if to a stream with priorities, which cannot exist. If the
queue exists, the error names its real kind; if it does not, the error says that such a stream is
impossible. No queue is created and no message is delivered; the broker logs a line about it and
closes the connection. Tried with RabbitMQ 3.10.8 and 4.3.6. What other brokers have set cannot be
seen over STOMP without taking part.
"""

import re
import time
from typing import Literal

from flowtools.core.errors import RefusedError, UnreachableError
from flowtools.core.wait import Stop
from flowtools.doctor.examination import Doubt, Examination, Hint
from flowtools.stomp.broker import Broker
from flowtools.stomp.dialect import dead_letter_destination
from flowtools.stomp.session import Session, error_text
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

HOSTS = "broker hosts"
QUEUE = "queue"
DEAD_LETTERS = "dead letters"

Kind = Literal["quorum", "classic", "stream", "temporary", "unknown", "missing"]

_IMPOSSIBLE = {"x-queue-type": "stream", "x-max-priority": "-1", "ack": "client-individual"}

_ADVICE = "see docs/scaling.md"


def examine_hosts(examination: Examination, url: BrokerURL) -> None:
    """Check whether the URL names more than one host."""

    def look() -> tuple[str, bool]:
        if len(url.hosts) > 1:
            return f"{len(url.hosts)} in the URL, tried in turn", True
        raise Hint(
            "one only: while it is away, events wait",
            "with a cluster, or a live and a backup broker, name all: stomp://a:61613,b:61613/...",
        )

    examination.check(HOSTS, look, "")


def examine_queues(
    examination: Examination, url: BrokerURL, settings: Settings, stop: Stop
) -> None:
    """Check the queue of the URL and its dead letters, where they can be seen: on RabbitMQ."""
    destination = url.destination or ""
    if not re.fullmatch("/queue/[^/]+", destination):
        return
    fix = f"at the broker, give the user the right to configure the queue; {_ADVICE}"
    broker = Broker(url, settings)
    examination.check(QUEUE, lambda: _judge_queue(destination, broker, stop, settings), fix)
    dead = dead_letter_destination(destination)
    examination.check(DEAD_LETTERS, lambda: _judge_dead(dead, broker, stop, settings), fix)


def _judge_queue(
    destination: str, broker: Broker, stop: Stop, settings: Settings
) -> tuple[str, bool]:
    kind = _kind(destination, broker, stop, settings)
    if kind == "missing":
        raise Hint(
            f"'{destination}' is not there yet: whoever comes first makes it",
            "make it a quorum queue: by 'x-queue-type=quorum' in the URL of all commands, or"
            f" beforehand; {_ADVICE}",
        )
    _complain(destination, kind)
    return f"'{destination}' is {_NAMES[kind]}", True


def _judge_dead(dead: str, broker: Broker, stop: Stop, settings: Settings) -> tuple[str, bool]:
    kind = _kind(dead, broker, stop, settings)
    if kind == "missing":
        raise Hint(
            f"'{dead}' is not there yet: the first refused message makes it, of the broker's"
            " default type",
            "make it before, or let --dead-letter-header x-queue-type=quorum of"
            f" flow-listen-stomp choose its type; {_ADVICE}",
        )
    _complain(dead, kind)
    return f"'{dead}' is {_NAMES[kind]}", True


_NAMES: dict[Kind, str] = {
    "quorum": "a quorum queue",
    "classic": "a classic queue",
    "unknown": "there; what type of queue it is was not told",
}


def _complain(destination: str, kind: Kind) -> None:
    if kind == "classic":
        raise Hint(
            f"'{destination}' is a classic queue: it is away whenever the node that holds it is",
            f"use a quorum queue, which has a copy on several nodes; {_ADVICE}",
        )
    if kind == "temporary":
        raise Doubt(
            f"'{destination}' belongs to another connection, and goes with it",
            "subscribe without durable:false, auto-delete:true or exclusive:true",
        )
    if kind == "stream":
        raise Doubt(
            f"'{destination}' is a stream: nothing is taken from it, and all who listen get all",
            f"to share work, use a quorum queue; {_ADVICE}",
        )


def _kind(destination: str, broker: Broker, stop: Stop, settings: Settings) -> Kind:
    """Return the kind of the queue, as RabbitMQ names it.

    Raises:
        RefusedError: The user has no permission to find out.
        UnreachableError: There is no answer.
    """
    session = broker.connect(stop)
    if session is None:
        raise UnreachableError("stopped")
    try:
        text = _answer(session, destination, stop, settings.connect_timeout)
    except ConnectionLost as error:
        raise UnreachableError(f"cannot ask about '{destination}': {error}") from None
    finally:
        session.abort()
    if "ACCESS_REFUSED" in text or "access_refused" in text:
        raise RefusedError(f"cannot see what '{destination}' is: {text}")
    return _kind_of(text)


def _kind_of(text: str) -> Kind:
    if "invalid arg" in text:
        return "missing"
    if "RESOURCE_LOCKED" in text:
        return "temporary"
    if "prefetch count is not set" in text:
        return "stream"
    is_quorum = re.search(r"inequivalent arg 'x-queue-type'.*current is '(\w+)'", text)
    if is_quorum and is_quorum[1] == "quorum":
        return "quorum"
    # Only a classic queue may have priorities, so only there the two are compared.
    if "inequivalent arg 'x-max-priority'" in text or "current is 'classic'" in text:
        return "classic"
    return "unknown"


def _answer(session: Session, destination: str, stop: Stop, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    headers = {"id": "doctor", "destination": destination, "receipt": "doctor"}
    session.send_frame("SUBSCRIBE", headers | _IMPOSSIBLE)
    while session.wait(stop, deadline - time.monotonic()):
        for frame in session.take():
            if frame.command == "ERROR":
                return f"{error_text(frame)} {frame.body.decode('utf-8', 'replace')}"
            if frame.command in ("RECEIPT", "MESSAGE"):
                return ""
    raise ConnectionLost(f"no answer within {seconds:g} s")
