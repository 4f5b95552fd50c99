"""What a message of Viz One tells: which resource has changed, and how where it says.

No message of a real Viz One is public; so anything is taken: an entry, a feed, a
tombstone, metadata alone, what is no XML, nothing at all. Nothing here raises for a bad
message, and nothing is guessed: where a message does not say created, updated or deleted,
the change is "changed".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flowtools.core.errors import ProtocolError
from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.vizone.atom import Entry, Feed, Tombstone, as_tombstone
from flowtools.vizone.document import Element, child, parse, text
from flowtools.vizone.namespaces import ATOM, MAM

ACTION_HEADERS = (
    "action",
    "event",
    "event-type",
    "type",
    "method",
    "change",
    "operation",
)
"""Headers that may say what happened, the first one found counts."""

_VERBS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("create", "add", "insert"), Kind.CREATED),
    (("update", "modif", "change"), Kind.UPDATED),
    (("delete", "remove"), Kind.DELETED),
)

_log = get_log("flowtools.vizone")


@dataclass(frozen=True)
class Change:
    """A change of one resource.

    Attributes:
        kind: What happened to it.
        identity: Its atom:id; None where the message names none.
        location: Its address, where the message names one.
        entry: The entry in the message, if there is one.
        when: When it happened, as the message says it.
    """

    kind: Kind
    identity: str | None
    location: str | None
    entry: Entry | None
    when: str | None


def read_changes(headers: Mapping[str, str], body: bytes, base: str) -> list[Change]:
    """Return the changes that a message tells, in its order.

    A feed may tell none, one or several; anything else tells one.

    Args:
        headers: The headers of the message.
        body: Its body.
        base: The URL that relative links in it start from.
    """
    root = _parse(headers, body, base)
    if root is not None and root.tag == f"{{{ATOM}}}feed":
        return list(_feed_changes(Feed(root), headers))
    tombstone = None if root is None else as_tombstone(root)
    if tombstone is not None:
        return [_of_tombstone(tombstone, headers)]
    entry = Entry(root) if root is not None and root.tag == f"{{{ATOM}}}entry" else None
    return [_of_entry(entry, headers)]


def changes_in(feed: Feed) -> list[Change]:
    """Return what a page of a feed shows: each entry as it is now, each tombstone."""
    return list(_feed_changes(feed, {}))


def _feed_changes(feed: Feed, headers: Mapping[str, str]) -> Iterator[Change]:
    # The headers are about the resource only where there is just one, and even then may
    # be about the feed.
    alone = len(feed.entries) + len(feed.tombstones) == 1
    said = headers if alone else {}
    for element in feed.element:
        if element.tag == f"{{{ATOM}}}entry":
            entry = Entry(element)
            change = _of_entry(entry, said)
            yield replace(
                change,
                identity=entry.id or change.identity,
                location=entry.self_link or change.location,
            )
        else:
            tombstone = as_tombstone(element)
            if tombstone is not None:
                yield _of_tombstone(tombstone, said)


def _of_tombstone(tombstone: Tombstone, headers: Mapping[str, str]) -> Change:
    return Change(Kind.DELETED, tombstone.ref, headers.get("location"), None, tombstone.when)


def _of_entry(entry: Entry | None, headers: Mapping[str, str]) -> Change:
    return Change(
        _kind(entry, headers),
        headers.get("identity") or (entry.id if entry else None),
        headers.get("location") or (entry.self_link if entry else None),
        entry,
        entry.updated if entry else None,
    )


def _kind(entry: Entry | None, headers: Mapping[str, str]) -> Kind:
    for name in ACTION_HEADERS:
        said = headers.get(name, "").strip().lower()
        for verbs, kind in _VERBS:
            if said.startswith(verbs):
                return kind
    if entry is not None and text(child(entry.element, "mediastatus", MAM)) == "deleted":
        return Kind.DELETED
    return Kind.CHANGED


def _parse(headers: Mapping[str, str], body: bytes, base: str) -> Element | None:
    if not body.strip():
        return None
    name = headers.get("identity") or headers.get("message-id") or "a message"
    try:
        return parse(body, name=name, base=base, media_type=headers.get("content-type"))
    except ProtocolError as error:
        _log.warning("%s; the message counts as a change without details", error)
        return None
