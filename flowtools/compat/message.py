"""A message of a STOMP broker, as handlers and `start` of the older Flow got it."""

from base64 import b64decode
from collections.abc import Mapping

import orjson

from flowtools.core.described import Described
from flowtools.core.event import Event


class Message(Described):
    """A message of a STOMP broker.

    Attributes:
        headers: Its headers, text by name.
        content: Its body: text, or bytes where it is not text in its charset.
    """

    FACTS = ("identity", "location")

    def __init__(self, headers: Mapping[str, str], content: bytes | str) -> None:
        self.headers = headers
        self.content = content


def message_of(event: Event) -> Message:
    """Return the message that an event of flow-listen-stomp stands for.

    Of a body that is JSON the event has the value; it is written again as text.
    """
    headers = event.get("headers", {})
    coded = event.get("body_base64")
    if coded is not None:
        return Message(headers, b64decode(coded))
    body = event.get("body", "")
    # Text with a JSON type that is not JSON stays as it was; most such is cut off or too long.
    is_text = isinstance(body, str) and (not _is_json(headers) or body[:1] in ("{", "["))
    return Message(headers, body if is_text else orjson.dumps(body).decode())


def _is_json(headers: Mapping[str, str]) -> bool:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")
