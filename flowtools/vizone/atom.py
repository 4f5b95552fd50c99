"""Atom as Viz One uses it: entries, feeds, tombstones and the links between them.

Every object here is a view of an XML element and keeps no copy of it. So an entry can be changed
and sent back with all the content that this code knows nothing about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.document import Element, address, child, number, text
from flowtools.vizone.namespaces import (
    ATOM,
    DCTERMS,
    OPENSEARCH,
    TOMBSTONE,
)

FEED_TYPE = "application/atom+xml;type=feed"
ENTRY_TYPE = "application/atom+xml;type=entry"
URI_LIST = "text/uri-list"

REL_ALIASES: dict[str, str] = {
    "importunmanaged": "import-unmanaged",
    "uploadtask": "upload-task",
    "editmedia": "edit-media",
    "addlast": "add-last",
    "overlaytimeline": "overlay-timeline",
}
"""Other spellings of a link's relation (normalised, see `normalise_rel`), and the one used here. No
public trace shows how a server spells most of them: add the spelling of yours."""


@dataclass(frozen=True)
class Link:
    """A link of an entry or feed.

    Attributes:
        rel: The normalised relation.
        href: The absolute address.
        type: The media type; None if it is not given.
    """

    rel: str
    href: str
    type: str | None


def normalise_rel(rel: str) -> str:
    """Return `rel` in lower case, with hyphens for underscores, and without a URI before it."""
    # A relation may be a URI (RFC 4287, section 4.2.7.2), whose last part says the same. Public
    # code spells some relations with underscores and others with hyphens.
    bare = rel.strip().rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
    bare = bare.lower().replace("_", "-")
    return REL_ALIASES.get(bare, bare)


def links_of(element: Element) -> list[Link]:
    """Return the links that are children of `element`; links without an address are left out."""
    return [
        Link(normalise_rel(each.get("rel", "alternate")), href, each.get("type"))
        for each in element.iterchildren(f"{{{ATOM}}}link")
        if (href := address(each, each.get("href"))) is not None
    ]


def same_type(one: str | None, other: str | None) -> bool:
    """Return whether two media types are equal; of their parameters only `type` counts."""
    return _essence(one) == _essence(other)


def _essence(media_type: str | None) -> tuple[str, str]:
    # Servers add parameters such as charset and apitype; `type` tells a feed from an entry.
    bare, *parameters = (part.strip().lower() for part in (media_type or "").split(";"))
    given = dict(each.partition("=")[::2] for each in parameters)
    return bare, given.get("type", "").strip('"')


class Resource(Described):
    """An XML element that has an id and links: an entry, a feed, or something similar."""

    FACTS: ClassVar[tuple[str, ...]] = ("id", "title")

    def __init__(self, element: Element) -> None:
        self.element = element

    @property
    def id(self) -> str | None:
        """The atom:id, an opaque text."""
        return text(child(self.element, "id", ATOM))

    @property
    def title(self) -> str | None:
        """The title."""
        return text(child(self.element, "title", ATOM))

    @property
    def updated(self) -> str | None:
        """Time of the last change, as the server wrote it."""
        return text(child(self.element, "updated", ATOM))

    @property
    def links(self) -> list[Link]:
        """All links, in document order; links without an address are left out."""
        return links_of(self.element)

    def link(self, *rels: str, type: str | None = None) -> str | None:
        """Return the address of the first of `rels` for which there is a link, or None.

        Of several links with the same relation, the one with the media type `type` is taken, or
        else the first.
        """
        links = self.links
        for rel in rels:
            found = [each for each in links if each.rel == rel]
            if found:
                return next((each for each in found if same_type(each.type, type)), found[0]).href
        return None

    def inlined(self, rel: str) -> Element | None:
        """Return the root of the document embedded in the link `rel`; None if there is none.

        A server embeds documents when the request asks for them (X-Inline). Such a link may have no
        address, so `links` does not have it.
        """
        for each in self.element.iterchildren(f"{{{ATOM}}}link"):
            inline = child(each, "inline", ATOM)
            if inline is not None and normalise_rel(each.get("rel", "")) == rel:
                return next(inline.iterchildren("{*}*"), None)
        return None

    def follow(self, *rels: str, type: str | None = None) -> str:
        """Return the address of the first of `rels` for which there is a link, as `link` does.

        Raises:
            ProtocolError: There is no such link.
        """
        found = self.link(*rels, type=type)
        if found is None:
            name = self.id or self.title or "a document"
            raise ProtocolError(f"cannot use '{name}': it has no '{rels[0]}' link")
        return found


class Entry(Resource):
    """An atom:entry.

    Attributes:
        element: The XML element.
        etag: ETag of the answer that held this entry alone; None for an entry of a feed.
    """

    def __init__(self, element: Element, etag: str | None = None) -> None:
        super().__init__(element)
        self.etag = etag

    @classmethod
    def new(cls, title: str, identifier: str | None = None) -> "Entry":
        """Return an entry to post to a collection, with a title and perhaps a dcterms:identifier.

        Raises:
            ValueError: A text has a character that XML cannot hold.
        """
        element = etree.Element(f"{{{ATOM}}}entry", nsmap={"atom": ATOM, "dcterms": DCTERMS})
        etree.SubElement(element, f"{{{ATOM}}}title").text = title
        if identifier is not None:
            etree.SubElement(element, f"{{{DCTERMS}}}identifier").text = identifier
        return Entry(element)

    @property
    def identifier(self) -> str | None:
        """The dcterms:identifier: site identity of an asset, or handle of a storage."""
        return text(child(self.element, "identifier", DCTERMS))

    @property
    def self_link(self) -> str | None:
        """Address to read the entry from; None without one."""
        return self.link("self", "edit")

    @property
    def edit_link(self) -> str | None:
        """Address to write the entry to; None without one."""
        return self.link("edit", "self")


@dataclass(frozen=True)
class Tombstone:
    """A deleted-entry (RFC 6721).

    Attributes:
        ref: The atom:id of the entry that was deleted.
        when: Time of the deletion, as the server wrote it; None if it is not given.
    """

    ref: str
    when: str | None


class Feed(Resource):
    """An atom:feed, or one page of it.

    Attributes:
        served: Time at which the server sent it, by its own clock, in seconds since the epoch; None
            if that is not known.
    """

    def __init__(self, element: Element, served: float | None = None) -> None:
        super().__init__(element)
        self.served = served

    @property
    def entries(self) -> list[Entry]:
        """The entries, in document order."""
        return [Entry(each) for each in self.element.iterchildren(f"{{{ATOM}}}entry")]

    @property
    def tombstones(self) -> list[Tombstone]:
        """The deleted entries, in document order."""
        return list(_tombstones(self.element.iterchildren(f"{{{TOMBSTONE}}}deleted-entry")))

    @property
    def total(self) -> int | None:
        """Number of entries on all pages together; None if the feed does not say."""
        return number(child(self.element, "totalResults", OPENSEARCH))

    @property
    def per_page(self) -> int | None:
        """Number of entries on a page; None if the feed does not say."""
        return number(child(self.element, "itemsPerPage", OPENSEARCH))

    @property
    def start(self) -> int | None:
        """Position of this page's first entry among all, from 1; None if the feed does not say."""
        return number(child(self.element, "startIndex", OPENSEARCH))


def as_feed(element: Element, name: str, served: float | None = None) -> Feed:
    """Return `element` as a feed; an error message calls it `name`.

    Raises:
        ProtocolError: The element is not an atom:feed.
    """
    if element.tag != f"{{{ATOM}}}feed":
        raise ProtocolError(f"cannot read '{name}': expected an Atom feed, found {_tag(element)}")
    return Feed(element, served)


def as_entry(element: Element, name: str, etag: str | None = None) -> Entry:
    """Return `element` as an entry; an error message calls it `name`.

    Raises:
        ProtocolError: The element is not an atom:entry.
    """
    if element.tag != f"{{{ATOM}}}entry":
        raise ProtocolError(f"cannot read '{name}': expected an Atom entry, found {_tag(element)}")
    return Entry(element, etag)


def as_tombstone(element: Element) -> Tombstone | None:
    """Return `element` as a tombstone; None if it is not one."""
    if element.tag != f"{{{TOMBSTONE}}}deleted-entry":
        return None
    return next(_tombstones(iter([element])), None)


def _tombstones(elements: Iterator[Element]) -> Iterator[Tombstone]:
    for each in elements:
        # Without a reference nobody can tell what was deleted.
        if each.get("ref"):
            yield Tombstone(each.get("ref", ""), each.get("when"))


def _tag(element: Element) -> str:
    return f"'{str(element.tag).rsplit('}', 1)[-1]}'"
