"""Turns a STOMP message into an event.

`data` is an object of `headers` and either
`body` (a JSON value if the content type is JSON, otherwise text) or
`body_base64` (bytes that are not text in their charset).
A CloudEvents event has data or data_base64, never both. So the bytes are put into `data`, which
has room for the headers, too.

A body of type application/cloudevents+json, such as flow-send sends, becomes the same event again.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import orjson

from flowtools.core.cloudevents import clean
from flowtools.core.digits import long_digits
from flowtools.core.event import Event, EventError, now, parse, rfc3339
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame

Message = Frame
"""A message that a subscription delivers, with `headers` and `body`."""

EVENT_TYPE = "application/cloudevents+json"
"""The media type of a whole event (CloudEvents JSON format 1.0, section 3)."""

_LEVELS = 200
_NO_JSON = object()
_BRACKETS = re.compile(rb"[\[\]{}]")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def event_of(message: Frame, dialect: Dialect, source: str) -> Event:
    """Return the event for `message`, which came from the URL `source`; encoding never fails."""
    media_type, charset = _content_type(message.headers.get("content-type", ""))
    if media_type == EVENT_TYPE:
        event = _whole_event(message.body)
        if event is not None:
            event.attributes.update(_failure(message.headers))
            return event
    body = message.body
    if media_type == "application/json" or media_type.endswith("+json"):
        value = _json(body)
        if value is not _NO_JSON:
            return _event(message, dialect, source, {"body": value})
    try:
        text = body.decode(charset)
        if charset != "utf-8":
            text.encode()  # Some charsets can produce text that is not valid Unicode.
    except (LookupError, ValueError):
        return _event(message, dialect, source, {"body_base64": b64encode(body).decode()})
    return _event(message, dialect, source, {"body": text})


def events_of(message: Frame, dialect: Dialect, source: str) -> Sequence[Event]:
    """Return the one event for `message`; see `event_of`."""
    return (event_of(message, dialect, source),)


def _event(message: Frame, dialect: Dialect, source: str, body: dict[str, Any]) -> Event:
    headers = message.headers
    if "receipt" in headers:
        # RabbitMQ delivers the sender's own receipt header, which means nothing to readers.
        headers = {name: text for name, text in headers.items() if name != "receipt"}
    sent = headers.get("timestamp", "")
    attributes = {
        "specversion": "1.0",
        "id": clean(dialect.event_id(message)),
        "source": source,
        "type": "flow.stomp.message",
        "subject": clean(headers.get("destination", "")),
        # ActiveMQ sets it when it accepts the message, in milliseconds since the epoch.
        "time": rfc3339(int(sent) / 1000) if sent.isdecimal() and len(sent) == 13 else now(),
        "datacontenttype": "application/json",
        **_failure(headers),
        "data": {"headers": headers, **body},
    }
    if not attributes["subject"]:
        del attributes["subject"]
    return Event.of(attributes)


def _failure(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the failure attributes of a dead letter's event; {} for any other message."""
    if "flow-error" not in headers:
        return {}
    failure: dict[str, Any] = {"flowerror": clean(headers["flow-error"])}
    attempts = headers.get("flow-attempts", "")
    if attempts.isascii() and attempts.isdigit() and len(attempts) < 10:
        failure["flowattempts"] = int(attempts)
    if "flow-failed-at" in headers:
        failure["flowfailedat"] = clean(headers["flow-failed-at"])
    return failure


@lru_cache(maxsize=64)
def _content_type(text: str) -> tuple[str, str]:
    """Return the media type and the charset (UTF-8 if none is named)."""
    media_type, *parameters = text.split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value:
            return media_type.strip().lower(), value.strip().strip('"')
    return media_type.strip().lower(), "utf-8"


def _whole_event(body: bytes) -> Event | None:
    if _is_deep(body):
        return None
    try:
        event = parse(body)
    except EventError:
        return None
    # These two describe a delivery. The values in the body are from the sender's pipeline.
    event.attributes.pop("ackto", None)
    event.attributes.pop("redelivered", None)
    return event


def _json(body: bytes) -> Any:
    """Return the value, or _NO_JSON if it could not be written again unchanged."""
    if long_digits(body) or _is_deep(body):
        return _NO_JSON
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _NO_JSON


def _is_deep(body: bytes) -> bool:
    # orjson reads 1024 levels and writes 254. Counting brackets first is quick, and few bodies
    # have enough of them to be examined.
    return body.count(b"[") + body.count(b"{") > _LEVELS and _depth(body) > _LEVELS


def _depth(body: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
