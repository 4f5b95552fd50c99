"""Makes the message that flow-send sends for an input line."""

from dataclasses import dataclass

from flowtools.ack.records import AckError, parse_ackto
from flowtools.core.event import (
    Event,
    EventError,
    NotAnEvent,
    bare,
    digest,
    encode_value,
    parse,
)
from flowtools.core.key import Key, WatchedKey
from flowtools.core.seen import Wrapper
from flowtools.core.toolong import TooLong
from flowtools.core.unfinished import Unfinished
from flowtools.stomp.message import EVENT_TYPE

GROUP_HEADER = "JMSXGroupID"
"""The header of a message's group (ActiveMQ Classic and Artemis)."""

UNIQUE_HEADER = "_AMQ_DUPL_ID"
"""The header by which Artemis drops messages that it has already received (Artemis' manual,
"Duplicate Message Detection")."""

_UPSTREAM = ("ackto", "redelivered")


@dataclass(slots=True)
class Outgoing:
    """One message to be sent.

    Attributes:
        number: The number of its line in the input, from 1.
        body: The body of the message.
        content_type: The media type of the body.
        group: The message group, if it has one.
        ackto: The address to acknowledge to once the broker has the message; None: none.
        unique: An id for duplicate detection, the same for each delivery of one event; None
            unless it was asked for.
    """

    number: int
    body: bytes
    content_type: str
    group: str | None
    ackto: str | None
    unique: str | None = None


def outgoing(
    line: bytes,
    number: int,
    *,
    wrapper: Wrapper,
    raw: bool,
    group_key: Key | WatchedKey | None,
    unique: bool = False,
) -> Outgoing:
    """Return the message for `line`.

    The message holds the whole event without the attributes that its source added for this
    pipeline. With `raw` it holds only the event's data, and a line that is not an event is sent
    unchanged.

    Args:
        line: The line, without its newline.
        number: Its number in the input, from 1.
        wrapper: The maker of events of lines that hold another JSON value; one for all lines of
            an input.
        raw: Whether to send only the data of an event.
        group_key: The key that gives the message's group.
        unique: Whether to give the message of an event a name for duplicate detection.

    Raises:
        EventError: The line cannot be sent.
    """
    if isinstance(line, TooLong):
        raise EventError("it is longer than a line may be")
    try:
        event = parse(line)
    except NotAnEvent as other:
        if raw and group_key is None:
            # No event is needed, so equal lines need not be counted, which takes memory.
            return Outgoing(number, bare(line), "application/json", None, None)
        event = wrapper.event(other.value, line, number)
        group = group_key.of(event) if group_key is not None else None
        if raw:
            return Outgoing(number, bare(line), "application/json", group, None)
        # Without a name for duplicate detection: the same list sent again tomorrow has the same
        # ids, and Artemis would drop all of it.
        return Outgoing(number, event.encode()[:-1], EVENT_TYPE, group, None)
    except EventError:
        if not raw or isinstance(line, Unfinished):
            raise
        return Outgoing(number, line, "text/plain", None, None)
    group = group_key.of(event) if group_key is not None else None
    ackto = event.attributes.get("ackto")
    name = digest(event.source, event.id) if unique else None
    if not raw:
        return Outgoing(number, _whole(event, line), EVENT_TYPE, group, ackto, name)
    body, content_type = _data(event)
    return Outgoing(number, body, content_type, group, ackto, name)


def ackto_of(line: bytes) -> str | None:
    """Return the address to which to reject `line`; None if it has no valid `ackto`."""
    try:
        ackto = line.ackto if isinstance(line, TooLong) else parse(line).attributes.get("ackto")
        parse_ackto(ackto)
    except (EventError, AckError):
        return None
    return str(ackto)


def _whole(event: Event, line: bytes) -> bytes:
    attributes = event.attributes
    if not any(name in attributes for name in _UPSTREAM):
        return bare(line)
    return encode_value({k: v for k, v in attributes.items() if k not in _UPSTREAM})[:-1]


def _data(event: Event) -> tuple[bytes, str]:
    data = event.data
    if isinstance(data, bytes):
        return data, event.datacontenttype or "application/octet-stream"
    if isinstance(data, str):
        return data.encode(), "text/plain"
    if data is None:
        raise EventError("the event has no data to send")
    return encode_value(data)[:-1], event.datacontenttype or "application/json"
