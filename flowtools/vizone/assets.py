"""Assets: the entries of the asset collection, and their metadata."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from lxml import etree

from flowtools.vizone.atom import (
    ATOM,
    CORE,
    DCTERMS,
    MAM,
    MEDIA_TYPE,
    Entry,
    Feed,
    Resource,
)
from flowtools.vizone.document import child, text
from flowtools.vizone.metadata import Payload

if TYPE_CHECKING:
    from flowtools.vizone.client import Client


class Asset(Entry):
    """An asset entry."""

    @property
    def status(self) -> str | None:
        """The state of its media: online, offline, importing, failed, new, empty, deleted."""
        return text(child(self.element, "mediastatus", MAM))

    @property
    def media(self) -> str | None:
        """The kind of its media (video, image ...); `placeholder` where there is none yet."""
        return text(child(self.element, "media", MEDIA_TYPE))

    @property
    def identifiers(self) -> dict[str, str]:
        """Its identities by name: Ardome's own, and `identifier` for the site's."""
        found = {
            each.get("name", "id"): text(each) or ""
            for each in self.element.iterchildren(f"{{{CORE}}}ardomeIdentity")
        }
        if self.identifier:
            found["identifier"] = self.identifier
        return found

    @property
    def keywords(self) -> list[tuple[str | None, str]]:
        """Its categories, each a scheme (or None) and a term."""
        return [
            (each.get("scheme"), each.get("term", ""))
            for each in self.element.iterchildren(f"{{{ATOM}}}category")
            if each.get("term")
        ]


def as_asset(entry: Entry) -> Asset:
    """Return `entry` seen as an asset."""
    return Asset(entry.element, entry.etag)


class Assets:
    """What can be done with assets; `client.assets`."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def feed(self) -> Feed:
        """Return the asset feed: a page with as few entries as the server allows."""
        return self._client.feed(self._asking({"start": "1", "num": "1"}))

    def find(self, query: str | None = None, *, per_page: int = 100) -> Iterator[Asset]:
        """Yield the assets that `query` (a word, or field:value) finds, or all of them."""
        asked = {"start": "1", "num": str(per_page)} | ({"q": query} if query else {})
        for page in self._client.pages(self._asking(asked)):
            yield from map(as_asset, page.entries)

    def get(self, url: str) -> Asset:
        """Return the asset at `url`, a `self` link.

        Raises:
            NotFoundError: There is none, or no longer.
        """
        return as_asset(self._client.entry(url))

    def create(self, title: str, identifier: str | None = None) -> Asset:
        """Make a placeholder: an asset without media."""
        element = etree.Element(f"{{{ATOM}}}entry", nsmap={"atom": ATOM, "dcterms": DCTERMS})
        etree.SubElement(element, f"{{{ATOM}}}title").text = title
        if identifier is not None:
            etree.SubElement(element, f"{{{DCTERMS}}}identifier").text = identifier
        return as_asset(self._client.create(self._collection(), Entry(element)))

    def update(self, asset: Asset) -> Asset:
        """Put the changed entry back, if nobody else has changed it; return what is stored.

        Raises:
            ConflictError: It has changed.
        """
        return as_asset(self._client.update(asset))

    def delete(self, asset: Asset) -> None:
        """Delete the asset; it is no error if it is gone already."""
        self._client.delete(asset)

    def metadata(self, asset: Resource) -> Payload:
        """Return the asset's metadata.

        Raises:
            NotFoundError: It has none (yet, or any more).
        """
        return self._client.metadata(asset.follow("describedby"))

    def _collection(self) -> str:
        return self._client.collection("asset")

    def _asking(self, query: dict[str, str]) -> str:
        parts = urlsplit(self._collection())
        given = dict(parse_qsl(parts.query, keep_blank_values=True))
        return urlunsplit(parts._replace(query=urlencode(given | query)))
