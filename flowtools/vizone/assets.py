"""Assets: searching, creating, changing and deleting them, and uploading their media.

A change is read, made and written with the etag that was read. If somebody else was faster, the
server answers with a conflict. `update` raises it. The methods that read again by themselves repeat
the change, as often as the client's `backoff` says.

Media is uploaded in one of two ways, depending on what the server offers: by a PUT to the asset's
`edit-media` link, or by asking for an address first and a PUT to that.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.asset import Asset, AtomCategory, as_asset, set_group_permissions
from flowtools.vizone.atom import Entry, Feed, Resource
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.paging import with_query
from flowtools.vizone.transport import Body, Stream

__all__ = ["Asset", "Assets", "AtomCategory", "as_asset"]

BYTES = "application/octet-stream"

CHUNK = 1 << 20
"""Size of the pieces, in bytes, in which a file is read and sent."""

Way = Literal["edit-media", "upload"]
Content = bytes | str | Path | BinaryIO


class Assets(Described):
    """Operations on assets, as `client.assets`. Any thread may call them."""

    FACTS = ("_client",)

    def __init__(self, client: AtomPub) -> None:
        self._client = client

    def feed(self) -> Feed:
        """Return the first page of the asset feed, with as few entries as the server allows.

        Callers want its `monitor` link or its time, not its entries.
        """
        return self._client.feed(self._asking({"start": "1", "num": "1"}))

    def find(
        self,
        query: str | None = None,
        *,
        per_page: int = 100,
        sort: str | None = None,
        media: str | None = None,
    ) -> Iterator[Asset]:
        """Yield the assets that a search finds, page by page.

        Args:
            query: A word, or FIELD:VALUE; None: all assets.
            per_page: Number of assets to read with one request.
            sort: The order, such as "-search.modificationDate" (last changed first); None: the
                server's own.
            media: Kind of media that the assets must have; None: any.
        """
        for page in self._client.pages(self._search(query, per_page, sort, media)):
            yield from map(as_asset, page.entries)

    def newest(self, *, per_page: int = 100) -> Iterator[Feed]:
        """Yield the pages of the asset feed; the asset that was changed last comes first."""
        return self._client.pages(self._search(None, per_page, "-search.modificationDate", None))

    def find_one(self, id: str) -> Asset | None:
        """Return the asset whose site identity, atom:id or number is `id`; None if there is none.

        The server's search index lags behind changes, so an asset may be missed for a moment after
        it was created.
        """
        # A search for words also finds assets that mention the id.
        found = next((each for each in self.find(id) if each.is_called(id)), None)
        if found is None or found.self_link is None:
            return found
        try:
            # The entry in the search result may be out of date, and has no etag.
            return self.get(found.self_link)
        except NotFoundError:
            return None

    def get(self, url: str, *, inline: bool = False) -> Asset:
        """Return the asset at `url`, a `self` link.

        Args:
            url: Address of the asset's entry.
            inline: Whether to ask for its metadata in the same answer, as `Asset.payload`. That
                payload has no etag: read the metadata with `metadata` in order to change it.

        Raises:
            NotFoundError: There is no such asset, or no longer.
        """
        return as_asset(self._client.entry(url, ("describedby",) if inline else ()))

    def create(
        self,
        title: str,
        identifier: str | None = None,
        keywords: Collection[tuple[str | None, str]] = (),
    ) -> Asset:
        """Create a placeholder (an asset without media) and return it.

        Args:
            title: The title.
            identifier: The site identity, unique on the server; None: without one.
            keywords: Pairs of scheme (or None) and term.

        If the answer is lost, the request is not repeated, because that could create a second
        asset. `create_or_update_asset` can be called again.

        Raises:
            ValueError: A text has characters that XML cannot hold.
        """
        asset = as_asset(Entry.new(title, identifier))
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
        """Create the asset with this site identity, or change the existing one; return it.

        After a failure it may be called again: it finds the asset that it created.

        Args:
            identifier: The site identity.
            title: The title; None: unchanged, and for a new asset the identifier.
            metadata: Metadata fields to set, by name; None: unchanged.
            keywords: Pairs of scheme (or None) and term; None: unchanged.

        Raises:
            ConflictError: The asset was changed by somebody else at each try.
            NotFoundError: `metadata` is given, and the asset has none.
            ValueError: A text has characters that XML cannot hold, or a field holds a table.
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
        """Send the changed entry to the server; return the entry that is stored now.

        Raises:
            ConflictError: Somebody else has changed it since it was read.
        """
        return as_asset(self._client.update(asset))

    def delete(self, asset: Asset, *, missing_ok: bool = True) -> None:
        """Delete the asset.

        Raises:
            NotFoundError: There is no such asset any more, and `missing_ok` is false.
        """
        self._client.delete(asset, missing_ok=missing_ok)

    def upload(
        self, asset: Asset, content: Content, way: Way | None = None, type: str = BYTES
    ) -> None:
        """Upload the media of the placeholder `asset`; the function `upload` explains the rest."""
        upload(self._client, asset, content, way, type)

    def set_group_permissions(
        self,
        asset: Asset,
        group: str,
        asset_rights: Collection[str] | None,
        media_rights: Collection[str] | None,
    ) -> Asset:
        """Set the rights of `group` to the asset and its media; return the entry as stored.

        After a conflict the asset is read again and the change repeated.

        Args:
            asset: The asset.
            group: The group's name.
            asset_rights: Any of "read", "write" and "admin". Empty: remove the group from the
                list. None: unchanged.
            media_rights: Rights to the media, in the same form.

        Raises:
            ConflictError: The asset was changed by somebody else at each try.
            ValueError: A right is not one of these words.
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
        """Set fields of the asset's metadata and leave the others; return the metadata as stored.

        After a conflict the metadata is read again and the change repeated, as often as the
        client's `backoff` says.

        Args:
            asset: The asset.
            values: New value of each field by its name; None unsets a field.

        Raises:
            NotFoundError: The asset has no metadata.
            ConflictError: The metadata was changed by somebody else at each try.
            ValueError: A field holds a table, or a value has characters that XML cannot hold.
        """

        def change() -> Payload:
            payload = self.metadata(asset)
            # Nothing is sent if every field has its value already. Otherwise a Worker that sets
            # fields after each change would be woken by its own change, without end.
            changed = [payload.set(name, value) for name, value in values.items()]
            return self._client.put_metadata(payload) if any(changed) else payload

        return self._client.backoff.call(change)

    def metadata(self, asset: Resource) -> Payload:
        """Return the asset's metadata, which may be changed and sent back.

        Raises:
            NotFoundError: The asset has no metadata (yet, or any more).
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
        # The server describes no search, or not with these parameters. The names used here are
        # those that public clients use.
        plain = {"start": "1", "num": str(per_page), "q": query, "sort": sort, "media": media}
        return self._asking({name: value for name, value in plain.items() if value is not None})


def _amend(asset: Asset, title: str | None, keywords: list[AtomCategory] | None) -> bool:
    """Set the given title and keywords in the entry; return whether it has changed."""
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
        client: The client to send with.
        asset: The asset, a placeholder.
        content: The bytes; the path of a file; or a seekable file, open for reading bytes. It is
            read again for each try.
        way: "edit-media": PUT to that link. "upload": ask for an address first and PUT to it.
            None: "edit-media" if the asset has such a link, otherwise "upload".
        type: The media type of the content.

    Raises:
        ProtocolError: The server does not name an address to upload to.
        OSError: The file cannot be read.
        FlowError: The size of the file has changed while it was sent.
    """
    edit_media = asset.link("edit-media")
    if way is None:
        way = "upload" if edit_media is None else "edit-media"
    where = asset.follow("edit-media") if way == "edit-media" else _ask(client, asset)
    client.request("PUT", where, body=_body(content), content_type=type)


def _ask(client: AtomPub, asset: Entry) -> str:
    # A public client uses this address of an item; no public trace shows a link to it.
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
