"""Checks of a broker that several servers share: its hosts, and the type of its queues.

STOMP has no request for the type of a queue. But RabbitMQ refuses to declare an existing queue with
other arguments, and its error names the real type. So the check subscribes as if to a stream with
priorities, which cannot exist. If the queue exists, the error names its real type. If it does not,
the error says that such a stream is impossible. No queue is created and no message is delivered;
the broker logs a line and closes the connection. Tried with RabbitMQ 3.10.8 and 4.3.6. On other
brokers only a consumer could find out, and it would take messages from others.

While a queue is being created or elects its leader, the error may name neither. Then the check asks
again until the time-out, and quotes the broker if it still does not know.
"""

import re
import time
from typing import Literal

from flowtools.core.errors import RefusedError, UnreachableError
from flowtools.core.wait import Stop
from flowtools.doctor.examination import Doubt, Examination, Hint
from flowtools.stomp.broker import Broker
from flowtools.stomp.dialect import dead_letter_destination
from flowtools.stomp.frames import Frame
from flowtools.stomp.saying import TROUBLE, error_text, is_passing, whole_text
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

HOSTS = "broker hosts"
QUEUE = "queue"
DEAD_LETTERS = "dead letters"

Kind = Literal["quorum", "classic", "stream", "temporary", "unknown", "missing"]

_IMPOSSIBLE = {"x-queue-type": "stream", "x-max-priority": "-1", "ack": "client-individual"}

PAUSE = 0.2
"""Seconds after which to ask again about a queue in a passing state."""

_ADVICE = "see docs/scaling.md"


def examine_hosts(examination: Examination, url: BrokerURL) -> None:
    """Check whether the URL names more than one host."""

    def look() -> tuple[str, bool]:
        if len(url.hosts) > 1:
            return f"{len(url.hosts)} in the URL, tried in turn", True
        raise Hint(
            "only one host in the URL: while it is down, events wait",
            "if there is a cluster or a backup broker, list all hosts: stomp://a:61613,b:61613/...",
        )

    examination.check(HOSTS, look, "")


def examine_queues(
    examination: Examination, url: BrokerURL, settings: Settings, stop: Stop
) -> None:
    """Check the queue of the URL and its dead-letter queue, on RabbitMQ."""
    destination = url.destination or ""
    # Only a name below /queue/ stands for one queue that the subscription would declare.
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
    kind, said = _kind(destination, broker, stop, settings)
    if kind == "missing":
        raise Hint(
            f"'{destination}' does not exist yet: the first command that uses it creates it",
            "make it a quorum queue: create it beforehand, or put 'x-queue-type=quorum' into the"
            f" URL of all commands; {_ADVICE}",
        )
    return _judged(destination, kind, said)


def _judge_dead(dead: str, broker: Broker, stop: Stop, settings: Settings) -> tuple[str, bool]:
    kind, said = _kind(dead, broker, stop, settings)
    if kind == "missing":
        raise Hint(
            f"'{dead}' does not exist yet: the first rejected message creates it, with the"
            " broker's default type",
            "create it beforehand, or give flow-listen-stomp the option"
            f" --dead-letter-header x-queue-type=quorum; {_ADVICE}",
        )
    return _judged(dead, kind, said)


def _judged(destination: str, kind: Kind, said: str) -> tuple[str, bool]:
    if kind == "classic":
        raise Hint(
            f"'{destination}' is a classic queue: it is gone while the node that holds it is down",
            f"use a quorum queue, which has copies on several nodes; {_ADVICE}",
        )
    if kind == "temporary":
        raise Doubt(
            f"'{destination}' belongs to another connection, and is deleted with it",
            "subscribe without durable:false, auto-delete:true or exclusive:true",
        )
    if kind == "stream":
        raise Doubt(
            f"'{destination}' is a stream: every listener gets every message",
            f"to share work, use a quorum queue; {_ADVICE}",
        )
    if kind == "quorum":
        return f"'{destination}' is a quorum queue", True
    answer = f"it says '{said}'" if said else "it does not compare a queue's arguments"
    return f"'{destination}' is a queue; the broker does not say of which type: {answer}", True


def _kind(destination: str, broker: Broker, stop: Stop, settings: Settings) -> tuple[Kind, str]:
    """Return the type of a queue, as the texts of RabbitMQ's errors show it, and the last text.

    Raises:
        RefusedError: The user has no permission to find out.
        UnreachableError: The broker does not answer.
    """
    ask_until = time.monotonic() + settings.connect_timeout
    while True:
        try:
            error = _error(destination, broker, stop, settings.connect_timeout)
        except ConnectionLost as lost:
            reason = UnreachableError(f"cannot ask about '{destination}': {lost}")
            if time.monotonic() >= ask_until or stop.wait(PAUSE):
                raise reason from None
            continue
        if error is None:
            return "unknown", ""
        text, said = whole_text(error), error_text(error)
        if "ACCESS_REFUSED" in text or "access_refused" in text:
            raise RefusedError(f"cannot find out the type of '{destination}': {said}")
        kind = _kind_of(text)
        may_pass = TROUBLE in text or "NOT_FOUND" in text or is_passing(text)
        if kind != "unknown" or not may_pass or time.monotonic() >= ask_until or stop.wait(PAUSE):
            return kind, said


def _error(destination: str, broker: Broker, stop: Stop, seconds: float) -> Frame | None:
    """Return the ERROR that an impossible subscription gets; None if the broker accepts it."""
    session = broker.connect(stop)
    if session is None:
        raise UnreachableError("stopped")
    try:
        return _answer(session, destination, stop, seconds)
    finally:
        session.abort()


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
    # Only a classic queue may have priorities, so RabbitMQ compares them only there.
    if "inequivalent arg 'x-max-priority'" in text or "current is 'classic'" in text:
        return "classic"
    return "unknown"


def _answer(session: Session, destination: str, stop: Stop, seconds: float) -> Frame | None:
    deadline = time.monotonic() + seconds
    headers = {"id": "doctor", "destination": destination, "receipt": "doctor"}
    session.send_frame("SUBSCRIBE", headers | _IMPOSSIBLE)
    while session.wait(stop, deadline - time.monotonic()):
        for frame in session.take():
            if frame.command == "ERROR":
                return frame
            # Accepted after all: this broker does not compare the arguments.
            if frame.command in ("RECEIPT", "MESSAGE"):
                return None
    raise ConnectionLost(f"no answer within {seconds:g} s")
