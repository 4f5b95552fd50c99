"""Reading the text of a broker's ERROR frame: what it says, and whether the state may pass.

STOMP gives an ERROR no code, so only its text tells a refusal from a passing state. The texts were
seen with RabbitMQ 3.10.8 to 4.3.6, ActiveMQ 5.17.2 and 6, or come from RabbitMQ's source
(rabbit_amqqueue, rabbit_stomp_processor).
"""

import re

from flowtools.stomp.frames import Frame

TROUBLE = "Processing error"
"""The only text that RabbitMQ gives for a failure inside its STOMP plugin, such as two clients that
declare the same quorum queue at the same time (tried: 4.3.6)."""

_JAVA = ("java.", "javax.", "jakarta.", "org.", "at ", "\tat ", "Caused by:", "...")

_PASSING = re.compile(
    # ActiveMQ: its limit of memory or disk is reached (policy sendFailIfNoSpace; JMS 2.0, 8.7).
    "ResourceAllocationException"
    # RabbitMQ: a node of the cluster is down; an operator closes connections; it shuts down.
    "|is down or inaccessible|CONNECTION_FORCED|AMQP channel died|shutdown|no_leader|noproc"
    # RabbitMQ: the queue's leader is being elected, or its process restarted.
    "|due to timeout|may be stopping or being demoted|stopped by supervisor"
    # RabbitMQ: the queue is full (x-overflow: reject-publish).
    "|rejected by|[Nn]egative confirm|basic\\.nack",
)


def error_text(frame: Frame) -> str:
    """Return the text of an ERROR frame as one line."""
    said = frame.headers.get("message", "").strip()
    lines = [line.strip() for line in frame.body.decode("utf-8", "replace").splitlines()]
    # Leave out the stack trace of a Java broker's exception.
    lines = [line for line in lines if line and line != said and not line.startswith(_JAVA)]
    details = "; ".join(lines)
    if details:
        said = f"{said}: {details}" if said else details
    return said[:500] or "an ERROR frame without a text"


def whole_text(frame: Frame) -> str:
    """Return everything that an ERROR frame says, for a search."""
    return f"{error_text(frame)}\n{frame.body.decode('utf-8', 'replace')}"


def is_trouble(frame: Frame) -> bool:
    """Return whether `frame` is an ERROR that says nothing but TROUBLE."""
    return frame.command == "ERROR" and error_text(frame) == TROUBLE


def is_passing(text: str) -> bool:
    """Return whether an ERROR with `text` is about a temporary state of the broker."""
    return bool(_PASSING.search(text))
