"""A message of a STOMP broker, as handlers and `start` of the older Flow expect it."""

from base64 import b64decode
from collections.abc import Mapping

import orjson

from flowtools.core.described import Described
from flowtools.core.event import Event


class Message(Described):
    """A message of a STOMP broker.

    Attributes:
        headers: Headers, text by name.
        content: Body: text, or bytes if it is not text in its charset.
    """

    FACTS = ("identity", "location")

    def __init__(self, headers: Mapping[str, str], content: bytes | str) -> None:
        self.headers = headers
        self.content = content


def message_of(event: Event) -> Message:
    """Return the message of an event of flow-listen-stomp.

    For a body with a JSON type the event has the parsed value, which is serialised again here: its
    white space may differ from that of the message.
    """
    headers = event.get("headers", {})
    coded = event.get("body_base64")
    if coded is not None:
        return Message(headers, b64decode(coded))
    body = event.get("body", "")
    # The event has text for a JSON string, and for a body that has a JSON type but could not be
    # parsed. The latter is mostly an object or list that was cut off, and must stay as it is.
    is_text = isinstance(body, str) and (not _is_json(headers) or body[:1] in ("{", "["))
    return Message(headers, body if is_text else orjson.dumps(body).decode())


def _is_json(headers: Mapping[str, str]) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
