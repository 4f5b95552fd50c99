"""Assets: the entries of the asset collection, their metadata, and their media.

Media goes to the server by either of the two ways that it may offer: a PUT to the asset's
`edit-media` link, or a PUT to an address that is asked for first.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.asset import Asset, AtomCategory, as_asset, set_group_permissions
from flowtools.vizone.atom import Entry, Feed, Resource
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.namespaces import ATOM, DCTERMS
from flowtools.vizone.paging import with_query
from flowtools.vizone.transport import Body, Stream

__all__ = ["Asset", "Assets", "AtomCategory", "as_asset"]

BYTES = "application/octet-stream"

CHUNK = 1 << 20
"""Bytes that are read, and sent, at a time."""

Way = Literal["edit-media", "upload"]
Content = bytes | str | Path | BinaryIO


class Assets(Described):
    """What can be done with assets; `client.assets`."""

    FACTS = ("_client",)

    def __init__(self, client: AtomPub) -> None:
        self._client = client

    def feed(self) -> Feed:
        """Return the asset feed: a page with as few entries as the server allows."""
        return self._client.feed(self._asking({"start": "1", "num": "1"}))

    def find(
        self,
        query: str | None = None,
        *,
        per_page: int = 100,
        sort: str | None = None,
        media: str | None = None,
    ) -> Iterator[Asset]:
        """Yield the assets that a search finds, or all of them.

        Args:
            query: A word, or field:value.
            per_page: How many to read at a time.
            sort: The order, such as "-search.modificationDate": the last changed first.
            media: Only those with this kind of media.
        """
        for page in self._client.pages(self._search(query, per_page, sort, media)):
            yield from map(as_asset, page.entries)

    def newest(self, *, per_page: int = 100) -> Iterator[Feed]:
        """Yield the pages of the asset feed, the asset that was changed last first."""
        return self._client.pages(self._search(None, per_page, "-search.modificationDate", None))

    def find_one(self, id: str) -> Asset | None:
        """Return the asset whose site identity, atom:id or number is `id`, if there is one."""
        found = next((each for each in self.find(id) if each.is_called(id)), None)
        if found is None or found.self_link is None:
            return found
        try:
            # A feed may be a little old, and gives no etag.
            return self.get(found.self_link)
        except NotFoundError:
            return None

    def get(self, url: str, *, inline: bool = False) -> Asset:
        """Return the asset at `url`, a `self` link.

        With `inline` its metadata comes along, as `payload`: to read; what is to be written
        needs the etag that only `metadata` gives.

        Raises:
            NotFoundError: There is none, or no longer.
        """
        return as_asset(self._client.entry(url, ("describedby",) if inline else ()))

    def create(
        self,
        title: str,
        identifier: str | None = None,
        keywords: Collection[tuple[str | None, str]] = (),
    ) -> Asset:
        """Make a placeholder: an asset without media.

        The request is not repeated where its answer is lost: see create_or_update_asset.
        """
        element = etree.Element(f"{{{ATOM}}}entry", nsmap={"atom": ATOM, "dcterms": DCTERMS})
        etree.SubElement(element, f"{{{ATOM}}}title").text = title
        if identifier is not None:
            etree.SubElement(element, f"{{{DCTERMS}}}identifier").text = identifier
        asset = as_asset(Entry(element))
        asset.keywords = keywords
        return as_asset(self._client.create(self._collection(), asset))

    def create_or_update_asset(
        self,
        identifier: str,
        title: str | None = None,
        *,
        metadata: Mapping[str, str | None] | None = None,
        keywords: Collection[tuple[str | None, str]] | None = None,
    ) -> Asset:
        """Return the asset with this site identity, made if need be, with what is given set.

        It may be called again after any failure: it finds what it made. What is None stays
        as it is; without a title a new asset is called by its identifier.

        Raises:
            ConflictError: Somebody else keeps changing it.
        """
        wanted = None if keywords is None else [AtomCategory(*each) for each in keywords]

        def create_or_update() -> Asset:
            asset = self.find_one(identifier)
            if asset is None:
                return self.create(title or identifier, identifier, wanted or ())
            return self.update(asset) if _amend(asset, title, wanted) else asset

        asset = self._client.backoff.call(create_or_update)
        if metadata:
            self.set_metadata(asset, metadata)
        return asset

    def update(self, asset: Asset) -> Asset:
        """Put the changed entry back, if nobody else has changed it; return what is stored.

        Raises:
            ConflictError: It has changed.
        """
        return as_asset(self._client.update(asset))

    def delete(self, asset: Asset, *, missing_ok: bool = True) -> None:
        """Delete the asset.

        Raises:
            NotFoundError: It is gone already, and `missing_ok` is false.
        """
        self._client.delete(asset, missing_ok=missing_ok)

    def upload(
        self, asset: Asset, content: Content, way: Way | None = None, type: str = BYTES
    ) -> None:
        """Send the media of the placeholder `asset`; for the rest see the function `upload`."""
        upload(self._client, asset, content, way, type)

    def set_group_permissions(
        self,
        asset: Asset,
        group: str,
        asset_rights: Collection[str] | None,
        media_rights: Collection[str] | None,
    ) -> Asset:
        """Set what `group` may do with the asset and its media; return what is stored.

        Rights are words: read, write, admin. None leaves them, an empty collection takes
        the group out of the list. A conflict reads the asset again and repeats the change.

        Raises:
            ConflictError: Somebody else keeps changing it.
        """
        latest = [asset]

        def change() -> Asset:
            current = latest[0]
            if not set_group_permissions(current.element, group, asset_rights, media_rights):
                return current
            try:
                return self.update(current)
            except ConflictError:
                latest[0] = self.get(current.follow("self", "edit"))
                raise

        return self._client.backoff.call(change)

    def set_metadata(self, asset: Resource, values: Mapping[str, str | None]) -> Payload:
        """Set fields of the asset's metadata and leave the rest; return what is stored.

        A conflict reads the metadata again and repeats the change, as often as the client's
        `backoff` says.

        Raises:
            NotFoundError: It has no metadata.
            ConflictError: Somebody else keeps changing it.
        """

        def change() -> Payload:
            payload = self.metadata(asset)
            changed = [payload.set(name, value) for name, value in values.items()]
            return self._client.put_metadata(payload) if any(changed) else payload

        return self._client.backoff.call(change)

    def metadata(self, asset: Resource) -> Payload:
        """Return the asset's metadata.

        Raises:
            NotFoundError: It has none (yet, or any more).
        """
        return self._client.metadata(asset.follow("describedby", type=PAYLOAD_TYPE))

    def _collection(self) -> str:
        return self._client.collection("asset")

    def _asking(self, query: dict[str, str]) -> str:
        return with_query(self._collection(), query)

    def _search(self, query: str | None, per_page: int, sort: str | None, media: str | None) -> str:
        named = {"searchTerms": query, "count": str(per_page)}
        named |= {"vizsort:sort": sort, "vizmedia:media": media}
        given = {name: value for name, value in named.items() if value is not None}
        template = self._client.search_template("asset")
        if template is not None and all(map(template.has, given)):
            return template.fill(given)
        # No description, or it has no such parameter: these are public.
        plain = {"start": "1", "num": str(per_page), "q": query, "sort": sort, "media": media}
        return self._asking({name: value for name, value in plain.items() if value is not None})


def _amend(asset: Asset, title: str | None, keywords: list[AtomCategory] | None) -> bool:
    """Set what is given in the entry; return whether that has changed it."""
    before = (asset.title, asset.keywords)
    if title is not None:
        asset.title = title
    if keywords is not None:
        asset.keywords = keywords
    return (asset.title, asset.keywords) != before


def upload(
    client: AtomPub, asset: Entry, content: Content, way: Way | None = None, type: str = BYTES
) -> None:
    """Send `content` as the media of `asset`; a file of any size takes little memory.

    Args:
        client: Where to.
        asset: The asset, a placeholder.
        content: The bytes, the path of a file, or a file open for reading bytes that can
            be read again.
        way: "edit-media": PUT to that link. "upload": ask for an address first, PUT there.
            None: the first where there is such a link, else the second.
        type: The media type of the content.

    Raises:
        ProtocolError: The server names no address.
        OSError: The file cannot be read.
    """
    edit_media = asset.link("edit-media")
    if way is None:
        way = "upload" if edit_media is None else "edit-media"
    where = asset.follow("edit-media") if way == "edit-media" else _ask(client, asset)
    client.request("PUT", where, body=_body(content), content_type=type)


def _ask(client: AtomPub, asset: Entry) -> str:
    # Where no link says it, this address of an item is public.
    asking = asset.link("upload") or asset.follow("edit", "self") + "/upload"
    answer = client.request("PUT", asking, body=b"")
    location = answer.headers.get("Location")
    if not location:
        raise ProtocolError(f"cannot upload to '{asking}': the answer has no Location")
    return str(answer.resolve(location))


def _body(content: Content) -> Body:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str | Path):
        path = Path(content)
        return Stream(path.stat().st_size, lambda: _chunks_of(path))
    start = content.tell()
    length = content.seek(0, 2) - start

    def again() -> Iterator[bytes]:
        content.seek(start)
        return iter(lambda: content.read(CHUNK), b"")

    return Stream(length, again)


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")
