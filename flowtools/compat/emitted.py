"""Makes an event from an object that an old Source emits, so that it can go through a pipe.

This is the opposite of received.py: a Flow behind the pipe gets an equal object again.
"""

from base64 import b64encode
from typing import Any

from flowtools.compat.asset import Item
from flowtools.compat.document import Document
from flowtools.compat.file import UnmanagedFile
from flowtools.compat.message import Message
from flowtools.core.event import Event, digest
from flowtools.vizone.document import as_text

_SOURCE = "flow-source"

_TYPES: tuple[tuple[type[Document], str], ...] = (
    (Item, "flow.asset.changed"),
    (UnmanagedFile, "flow.file.changed"),
)


def as_value(obj: Any) -> Any:
    """Return what a Source emits for `obj`: an event if it is an Item, UnmanagedFile or Message.

    Any other object is returned unchanged; it must be a JSON value.
    """
    if isinstance(obj, Message):
        return _of_message(obj)
    for kind, type_ in _TYPES:
        if isinstance(obj, kind):
            return _of_document(obj, type_)
    return obj


def _of_message(message: Message) -> Event:
    headers = dict(message.headers)
    content = message.content
    if isinstance(content, bytes):
        try:
            content = content.decode()
        except UnicodeDecodeError:
            coded = b64encode(message.content).decode()  # type: ignore[arg-type]
            data = {"headers": headers, "body_base64": coded}
            return Event("flow.stomp.message", data, source=_SOURCE)
    # The body is text now. With a JSON content type, received.py would serialise it as JSON again.
    headers.pop("content-type", None)
    return Event("flow.stomp.message", {"headers": headers, "body": content}, source=_SOURCE)


def _of_document(document: Document, type_: str) -> Event:
    entry = document.entry
    xml = as_text(entry.element)
    etag = document.response_etag
    data = {
        "id": entry.id,
        "title": document.title,
        # Reversed, so that of several links with one relation the first counts, as elsewhere.
        "links": {link.rel: link.href for link in reversed(entry.links)},
        "headers": {"etag": etag} if etag else {},
        "xml": xml,
    }
    source = entry.self_link or _SOURCE
    name = entry.id or document.title
    # The id depends on the content: the same object emitted twice is recognised as one event.
    return Event(type_, data, source=source, id=f"{name}#{digest(xml)}", subject=name)
