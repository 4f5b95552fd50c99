"""Makes the object that `start` of the older Flow expects from an event.

With the XML of its entry (`--xml`) an event gives the whole document. Without it a document is made
from what the event says, which is enough for the old attributes. That one is never sent to the
server: document.py fetches the real one first.
"""

from typing import Any

from lxml import etree

from flowtools.compat.asset import Item
from flowtools.compat.document import Document, Fetch
from flowtools.compat.file import UnmanagedFile
from flowtools.compat.message import message_of
from flowtools.core.event import Event
from flowtools.vizone.document import Element, child, parse
from flowtools.vizone.namespaces import (
    ATOM,
    CORE,
    DCTERMS,
    MAM,
    MEDIA,
    MEDIA_TYPE,
    PREFIXES,
)


def old_object(event: Event, fetch: Fetch) -> Any:
    """Return the old object of an event: an Item, UnmanagedFile or Message.

    It is None for a tick of an interval, and the data of the event for any other source.

    Args:
        event: Event of any source.
        fetch: Reads an entry that the event does not carry; called when it is needed.
    """
    if event.type.startswith("flow.asset."):
        return _received(Item, event, fetch)
    if event.type.startswith("flow.file."):
        return _received(UnmanagedFile, event, fetch)
    if event.type == "flow.stomp.message":
        return message_of(event)
    return None if event.type == "flow.interval.tick" else event.data


def _received(kind: type[Document], event: Event, fetch: Fetch) -> Document:
    xml = event.get("xml")
    etag = event.get("headers", {}).get("etag")
    if not xml:
        made = _asset_entry(event) if kind is Item else _file_entry(event)
        return kind.received(made, None, fetch, is_whole=False)
    element = parse(xml.encode(), name=event.subject or "the entry", base=event.source)
    # A message may mark a deletion in several ways; old code only knows the status.
    if event.type == "flow.asset.deleted":
        _mark_deleted(element)
    return kind.received(element, etag, fetch)


def _mark_deleted(entry: Element) -> None:
    """Set the media status of an entry to "deleted"."""
    found = child(entry, "mediastatus", MAM)
    if found is None:
        found = etree.SubElement(entry, f"{{{MAM}}}mediastatus")
    found.text = "deleted"


def _entry(event: Event) -> Element:
    entry = etree.Element(f"{{{ATOM}}}entry", nsmap=PREFIXES)
    for name in ("id", "updated"):
        if event.get(name):
            etree.SubElement(entry, f"{{{ATOM}}}{name}").text = event[name]
    # Old code follows links as attributes, such as `asset.describedby_link`.
    for rel, href in event.get("links", {}).items():
        etree.SubElement(entry, f"{{{ATOM}}}link", rel=rel, href=href)
    return entry


def _asset_entry(event: Event) -> Element:
    entry = _entry(event)
    for namespace, name, said in (
        (ATOM, "title", event.get("title")),
        (MAM, "mediastatus", event.get("status")),
        (MEDIA_TYPE, "media", event.get("media")),
    ):
        if said:
            etree.SubElement(entry, f"{{{namespace}}}{name}").text = said
    for name, said in event.get("identifiers", {}).items():
        if name == "identifier":
            etree.SubElement(entry, f"{{{DCTERMS}}}identifier").text = said
        else:
            etree.SubElement(entry, f"{{{CORE}}}ardomeIdentity", name=name).text = said
    for each in event.get("keywords", ()):
        given = {name: said for name, said in each.items() if said is not None}
        etree.SubElement(entry, f"{{{ATOM}}}category", given)
    if event.type == "flow.asset.deleted":
        _mark_deleted(entry)
    return entry


def _file_entry(event: Event) -> Element:
    entry = _entry(event)
    if event.get("name"):
        etree.SubElement(entry, f"{{{ATOM}}}title").text = event["name"]
    media = etree.SubElement(entry, f"{{{MEDIA}}}content")
    for name, key in (("url", "url"), ("fileSize", "size")):
        if event.get(key) is not None:
            media.set(name, str(event[key]))
    if event.type == "flow.file.deleted":
        media.set("fileSize", "0")  # Old classes skip empty files, and so skip deleted ones, too.
    return entry
