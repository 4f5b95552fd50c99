"""Atom as Viz One uses it: entries, feeds, tombstones and the links between them.

Everything here is a view of an XML element, so that an entry can be changed and sent back
with whatever else was in it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

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
"""What a server calls a relation (normalised), and what it is called here. The spelling
of most is not public: add what yours says."""


@dataclass(frozen=True)
class Link:
    """A link: its normalised relation, its absolute address, its media type if given."""

    rel: str
    href: str
    type: str | None


def normalise_rel(rel: str) -> str:
    """Return `rel` in lower case with hyphens, without a URI in front of it."""
    bare = rel.strip().rstrip("/#").replace("#", "/").rsplit("/", 1)[-1]
    bare = bare.lower().replace("_", "-")
    return REL_ALIASES.get(bare, bare)


def links_of(element: Element) -> list[Link]:
    """Return the links that are children of `element`; those without an address are left out."""
    return [
        Link(normalise_rel(each.get("rel", "alternate")), href, each.get("type"))
        for each in element.iterchildren(f"{{{ATOM}}}link")
        if (href := address(each, each.get("href"))) is not None
    ]


def same_type(one: str | None, other: str | None) -> bool:
    """Return whether two media types are the same but for parameters other than `type`."""
    return _essence(one) == _essence(other)


def _essence(media_type: str | None) -> tuple[str, str]:
    bare, *parameters = (part.strip().lower() for part in (media_type or "").split(";"))
    given = dict(each.partition("=")[::2] for each in parameters)
    return bare, given.get("type", "").strip('"')


class Resource(Described):
    """An element that has an identity and links."""

    FACTS: ClassVar[tuple[str, ...]] = ("id", "title")

    def __init__(self, element: Element) -> None:
        self.element = element

    @property
    def id(self) -> str | None:
        """The atom:id; opaque."""
        return text(child(self.element, "id", ATOM))

    @property
    def title(self) -> str | None:
        """The title."""
        return text(child(self.element, "title", ATOM))

    @property
    def updated(self) -> str | None:
        """When it last changed, as the server wrote it."""
        return text(child(self.element, "updated", ATOM))

    @property
    def links(self) -> list[Link]:
        """Its links, in their order; those without an address are left out."""
        return links_of(self.element)

    def link(self, *rels: str, type: str | None = None) -> str | None:
        """Return the address of the first of `rels` that there is a link for.

        Of several links with that relation one of the media type `type` counts, else the
        first.
        """
        links = self.links
        for rel in rels:
            found = [each for each in links if each.rel == rel]
            if found:
                return next((each for each in found if same_type(each.type, type)), found[0]).href
        return None

    def inlined(self, rel: str) -> Element | None:
        """Return the document that the server has put into the link `rel`, if it has.

        Such a link may have no address.
        """
        for each in self.element.iterchildren(f"{{{ATOM}}}link"):
            inline = child(each, "inline", ATOM)
            if inline is not None and normalise_rel(each.get("rel", "")) == rel:
                return next(inline.iterchildren("{*}*"), None)
        return None

    def follow(self, *rels: str, type: str | None = None) -> str:
        """Return the address of the first of `rels` that there is a link for; see `link`.

        Raises:
            ProtocolError: There is none.
        """
        found = self.link(*rels, type=type)
        if found is None:
            name = self.id or self.title or "a document"
            raise ProtocolError(f"cannot use '{name}': it has no '{rels[0]}' link")
        return found


class Entry(Resource):
    """An atom:entry, with the etag of the answer that it came in, if it did."""

    def __init__(self, element: Element, etag: str | None = None) -> None:
        super().__init__(element)
        self.etag = etag

    @property
    def identifier(self) -> str | None:
        """The dcterms:identifier: a site identity, or a storage handle."""
        return text(child(self.element, "identifier", DCTERMS))

    @property
    def self_link(self) -> str | None:
        """Where to read it."""
        return self.link("self", "edit")

    @property
    def edit_link(self) -> str | None:
        """Where to write it."""
        return self.link("edit", "self")


@dataclass(frozen=True)
class Tombstone:
    """A deleted-entry of RFC 6721: what was deleted, and when if it says."""

    ref: str
    when: str | None


class Feed(Resource):
    """An atom:feed.

    Attributes:
        served: When the server sent it, by its own clock (seconds since the epoch), if it says.
    """

    def __init__(self, element: Element, served: float | None = None) -> None:
        super().__init__(element)
        self.served = served

    @property
    def entries(self) -> list[Entry]:
        """Its entries, in their order."""
        return [Entry(each) for each in self.element.iterchildren(f"{{{ATOM}}}entry")]

    @property
    def tombstones(self) -> list[Tombstone]:
        """Its deleted entries, in their order."""
        return list(_tombstones(self.element.iterchildren(f"{{{TOMBSTONE}}}deleted-entry")))

    @property
    def total(self) -> int | None:
        """How many entries all pages have, where it says."""
        return number(child(self.element, "totalResults", OPENSEARCH))

    @property
    def per_page(self) -> int | None:
        """How many entries a page has, where it says."""
        return number(child(self.element, "itemsPerPage", OPENSEARCH))

    @property
    def start(self) -> int | None:
        """The place of its first entry among all, from 1, where it says."""
        return number(child(self.element, "startIndex", OPENSEARCH))


def as_feed(element: Element, name: str, served: float | None = None) -> Feed:
    """Return `element` as a feed; `name` is what to call it in an error.

    Raises:
        ProtocolError: It is none.
    """
    if element.tag != f"{{{ATOM}}}feed":
        raise ProtocolError(f"cannot read '{name}': expected an Atom feed, found {_tag(element)}")
    return Feed(element, served)


def as_entry(element: Element, name: str, etag: str | None = None) -> Entry:
    """Return `element` as an entry; `name` is what to call it in an error.

    Raises:
        ProtocolError: It is none.
    """
    if element.tag != f"{{{ATOM}}}entry":
        raise ProtocolError(f"cannot read '{name}': expected an Atom entry, found {_tag(element)}")
    return Entry(element, etag)


def as_tombstone(element: Element) -> Tombstone | None:
    """Return `element` as a tombstone, if it is one."""
    if element.tag != f"{{{TOMBSTONE}}}deleted-entry":
        return None
    return next(_tombstones(iter([element])), None)


def _tombstones(elements: Iterator[Element]) -> Iterator[Tombstone]:
    for each in elements:
        if each.get("ref"):
            yield Tombstone(each.get("ref", ""), each.get("when"))


def _tag(element: Element) -> str:
    return f"'{str(element.tag).rsplit('}', 1)[-1]}'"
