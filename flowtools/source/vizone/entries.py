"""What the events of the two Viz One sources say, whichever of them it is."""

import re
from collections.abc import Mapping
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from flowtools.core.event import Event, digest, encode_value, rfc3339
from flowtools.core.kind import Kind
from flowtools.stomp.message import Message
from flowtools.vizone.atom import Entry
from flowtools.vizone.changes import Change
from flowtools.vizone.document import as_text
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.transport import without_user

_LEAP = re.compile(r"(T[0-9]{2}:[0-9]{2}):60")
_MIDNIGHT = re.compile(r"T24:00((?::00(?:[.,]0+)?)?)(?=$|[Z+-])")

_LOGIN = re.compile(r"""(\b[A-Za-z][A-Za-z0-9+.-]*://)[^\s/"'<>?#]*@""")
"""A user and perhaps a password in an address, with what stands before it."""

_TYPES = {"describedby": PAYLOAD_TYPE}


def event_id(change: Change, message: Message) -> str:
    """Return an id that a redelivery of the message has, too, and a feed's entry of it.

    That takes a version that both carry: the time of the change. Where there is none, the
    message itself counts.
    """
    name = change.identity or change.location or "unknown"
    if change.when:
        return f"{name}#{digest(change.kind if change.kind is Kind.DELETED else '', change.when)}"
    version = message.headers.get("etag") or ""
    if not version and not message.body:
        # Only the broker can tell two such messages apart.
        version = message.headers.get("message-id", "")
    return f"{name}#{digest(change.kind, version, message.body)}"


def key_of(event: Event) -> str:
    """Return what tells one change from another: its id, and what the entry shows."""
    data = {k: v for k, v in event.data.items() if k not in ("headers", "links", "xml", "metadata")}
    return f"{digest(event.id, encode_value(data))}"


def event_time(change: Change) -> str | None:
    """Return when the change happened, as RFC 3339 in UTC; None where it does not say."""
    moment = instant(change.when)
    return None if moment is None else rfc3339(moment)


def modified(event: Event) -> float | None:
    """Return when the resource of `event` was modified, as its entry says."""
    updated: Any = event.get("updated")
    return instant(updated)


def instant(text: str | None) -> float | None:
    """Return the moment (seconds since the epoch) that an RFC 3339 text says, if it says one.

    A leap second is the one before it and a second; 24:00:00 is the next day's midnight (ISO
    8601, 5.3.2); what is written in lower case counts, too (RFC 3339, 5.6).
    """
    said = (text or "").strip().upper()
    is_leap = _LEAP.search(said)
    said, is_midnight = _MIDNIGHT.subn(r"T00:00\1", _LEAP.sub(r"\1:59", said))
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        later = timedelta(days=is_midnight, seconds=1 if is_leap else 0)
        return (moment.astimezone(UTC) + later).timestamp()
    except (ValueError, OverflowError):
        return None


def addresses_in(entry: Entry) -> dict[str, str]:
    """Return the addresses of the links of `entry` by relation, one of each: see Resource.link."""
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
    """Return the entry as text of its own, without the logins that its addresses may have."""
    return _LOGIN.sub(r"\1", as_text(entry.element))


def amended(event: Event, data: Mapping[str, Any], type: str | None = None) -> Event:
    """Return an event like `event`, with `data` instead of what it says of the same."""
    new = copy(event)
    new.attributes = event.attributes | {
        "type": type or event.type,
        "data": event.data | dict(data),
    }
    return new


def public_headers(message: Message) -> Mapping[str, str]:
    """Return the headers of the message but for those that only serve its delivery."""
    delivery = {"ack", "subscription", "content-length", "receipt"}
    return {name: value for name, value in message.headers.items() if name not in delivery}
