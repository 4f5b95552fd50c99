"""From an object that a Source of the older Flow gives to an event, which can go through a pipe.

It is the way back of `received`: a Flow behind the pipe gets an equal object again.
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
    """Return what a Source emits for `obj`: an event for an Item, a file or a message.

    Anything else is returned as it is, and has to be JSON.
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
    # It is text already, whatever its type says: it is not to be written as JSON again.
    headers.pop("content-type", None)
    return Event("flow.stomp.message", {"headers": headers, "body": content}, source=_SOURCE)


def _of_document(document: Document, type_: str) -> Event:
    entry = document.entry
    xml = as_text(entry.element)
    etag = document.response_etag
    data = {
        "id": entry.id,
        "title": document.title,
        "links": {link.rel: link.href for link in reversed(entry.links)},
        "headers": {"etag": etag} if etag else {},
        "xml": xml,
    }
    source = entry.self_link or _SOURCE
    name = entry.id or document.title
    return Event(type_, data, source=source, id=f"{name}#{digest(xml)}", subject=name)
