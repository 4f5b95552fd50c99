"""The contents that the events of both Viz One sources have in common."""

import re
from collections.abc import Mapping
from copy import copy
from typing import Any

from flowtools.core.event import Event, digest, encode_value, rfc3339
from flowtools.core.kind import Kind
from flowtools.core.times import instant
from flowtools.stomp.message import Message
from flowtools.vizone.atom import Entry
from flowtools.vizone.changes import Change
from flowtools.vizone.document import as_text
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.transport import without_user

_LOGIN = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>?#]*@""")
"""The scheme, the user and perhaps a password of an address."""

_TYPES = {"describedby": PAYLOAD_TYPE}


def event_id(change: Change, message: Message) -> str:
    """Return an id that is the same for a redelivered message and for the entry in a feed.

    The id is made from a version that both carry: the time of the change. Without one, the id of
    the message is used.
    """
    name = change.identity or change.location or "unknown"
    if change.when:
        # Only a deletion is told apart: a feed shows both a creation and an update as a change.
        return f"{name}#{digest(change.kind if change.kind is Kind.DELETED else '', change.when)}"
    version = message.headers.get("etag") or ""
    if not version and not message.body:
        # Only the broker can tell two such messages apart.
        version = message.headers.get("message-id", "")
    return f"{name}#{digest(change.kind, version, message.body)}"


def key_of(event: Event) -> str:
    """Return a key that distinguishes changes: made of the event's id and its data."""
    # Without what a message and an entry of the feed show differently for the same change.
    data = {k: v for k, v in event.data.items() if k not in ("headers", "links", "xml", "metadata")}
    return f"{digest(event.id, encode_value(data))}"


def event_time(change: Change) -> str | None:
    """Return the time of the change, as RFC 3339 in UTC; None if it has none."""
    moment = instant(change.when)
    return None if moment is None else rfc3339(moment)


def modified(event: Event) -> float | None:
    """Return when the resource of `event` was modified (seconds since the epoch), if known."""
    updated: Any = event.get("updated")
    return instant(updated)


def addresses_in(entry: Entry) -> dict[str, str]:
    """Return one address for each relation of the links of `entry`, chosen by Resource.link."""
    rels = dict.fromkeys(link.rel for link in entry.links)
    found = {rel: entry.link(rel, type=_TYPES.get(rel)) for rel in rels}
    return {rel: without_user(href) for rel, href in found.items() if href}


def links_of(change: Change) -> dict[str, str]:
    """Return the addresses of the entry's links by relation, and where the resource is."""
    found = addresses_in(change.entry) if change.entry else {}
    if change.location:
        found.setdefault("self", without_user(change.location))
    return found


def xml_of(entry: Entry) -> str:
    """Return the entry as XML text, without the logins that its addresses may contain."""
    return _LOGIN.sub(r"\1", as_text(entry.element))


def amended(event: Event, data: Mapping[str, Any], type: str | None = None) -> Event:
    """Return a copy of `event` in which the members of `data` replace its own."""
    new = copy(event)
    new.attributes = event.attributes | {
        "type": type or event.type,
        "data": event.data | dict(data),
    }
    return new


def public_headers(message: Message) -> Mapping[str, str]:
    """Return the headers of the message, except those that only serve its delivery."""
    delivery = {"ack", "subscription", "content-length", "receipt"}
    return {name: value for name, value in message.headers.items() if name not in delivery}
