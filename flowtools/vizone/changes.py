"""Reads the messages of Viz One's broker: which resource has changed, and how.

No message of a real Viz One is public. So everything is accepted: an entry, a feed, a tombstone,
metadata alone, a body that is not XML, an empty body. A bad message raises no error, because one
message must not end a listener. Nothing is guessed: a message that does not say "created",
"updated" or "deleted" is a change of the kind "changed".
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
"""Headers that may say what happened; the first one with a known verb counts."""

_VERBS: tuple[tuple[tuple[str, ...], Kind], ...] = (
    (("create", "add", "insert"), Kind.CREATED),
    (("update", "modif", "change"), Kind.UPDATED),
    (("delete", "remove"), Kind.DELETED),
)
"""Beginnings of the words that such a header may hold, and the kind of change they mean."""

_log = get_log("flowtools.vizone")


@dataclass(frozen=True)
class Change:
    """A change of one resource.

    Attributes:
        kind: What happened to the resource.
        identity: The resource's atom:id; None if the message does not name it.
        location: The resource's address; None if the message does not name it.
        entry: The entry in the message; None without one.
        when: Time of the change, as the message says it; None if it does not.
    """

    kind: Kind
    identity: str | None
    location: str | None
    entry: Entry | None
    when: str | None


def read_changes(headers: Mapping[str, str], body: bytes, base: str) -> list[Change]:
    """Return the changes in a message, in its order.

    A feed may hold any number of changes; any other message is one change.

    Args:
        headers: The headers of the message.
        body: The body of the message.
        base: The URL that relative links in the body start from.
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
    """Return the entries and tombstones on a page of a feed as changes, in their order.

    Such a change is never "created" or "updated": a feed shows the present, not what happened.
    """
    return list(_feed_changes(feed, {}))


def _feed_changes(feed: Feed, headers: Mapping[str, str]) -> Iterator[Change]:
    # The headers can only be about one resource. Even with a single entry they may be about the
    # feed, so the entry's own id and address take precedence below.
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
    # A deleted asset may stay in the feeds for a while, with this status.
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
