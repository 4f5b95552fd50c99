"""Handlers for assets: service document, feed and search, entries, metadata.

They translate between HTTP and the catalogue, and keep no state of their own.
"""

from urllib.parse import urlencode

from flowtools.sim import documents
from flowtools.sim.asking import NUMBER, Refusal, Reply, Request, Routes, integer
from flowtools.sim.asset import Asset, Permission
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.people import ADMIN
from flowtools.sim.xml import redress, serialise
from flowtools.vizone.asset import Asset as AssetView
from flowtools.vizone.asset import as_asset
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE, as_entry
from flowtools.vizone.document import parse
from flowtools.vizone.document import serialise as plain
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.service import DESCRIPTION_TYPE

PER_PAGE = 25
"""Entries on a page of the asset feed if the request has no `num`."""

MOST_PER_PAGE = 1000
"""Entries on a page at most, whatever the request asks for."""


class AssetResources:
    """The handlers for assets. Thread-safe."""

    def __init__(self, catalogue: Catalogue, base: str, monitor: str) -> None:
        """Serve `catalogue`.

        Args:
            catalogue: Where the assets are.
            base: URL that links start with, such as http://127.0.0.1:8080.
            monitor: STOMP URL of the feed's monitor link.
        """
        self._catalogue = catalogue
        self._base = base
        self._monitor = monitor

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        # A real server shows each asset in both trees, under the same number.
        asset = f"/(?:thirdparty|api)/asset/item/{NUMBER}"
        one = {"GET": self._asset, "PUT": self._update, "DELETE": self._delete}
        return [
            ("/thirdparty/?", {"GET": self._service}),
            ("/(?:thirdparty|api)/asset/item", {"GET": self._feed, "POST": self._create}),
            (asset, one),
            (f"{asset}/metadata", {"GET": self._metadata, "PUT": self._put_metadata}),
        ]

    def _service(self, request: Request) -> Reply:
        return Reply(documents.service(self._base), documents.SERVICE_TYPE)

    def _feed(self, request: Request) -> Reply:
        query = request.query
        if query.get("format") == "opensearch":
            return Reply(documents.description(self._base), DESCRIPTION_TYPE)
        start = integer(query, "start", 1, 1, 10**9)
        num = integer(query, "num", PER_PAGE, 1, MOST_PER_PAGE)
        sort = query.get("sort", "")
        found = self._catalogue.assets(query.get("q", ""), sort=sort, media=query.get("media", ""))
        here = self._base + documents.ASSETS_PATH
        links = {"self": f"{here}?{urlencode(query)}"}
        if start - 1 + num < len(found):
            links["next"] = f"{here}?{urlencode(query | {'start': start + num, 'num': num})}"
        # As on a real server, where the link needs Asset/Admin permission.
        if request.user == ADMIN:
            links["monitor"] = self._monitor
        # A client that sorts by change looks for changes: only it is shown deletions, and only
        # on the first page, or a client that pages would see each of them again.
        tells = self._catalogue.deletions == "tombstone" and sort == "-search.modificationDate"
        body = documents.asset_feed(
            found[start - 1 : start - 1 + num],
            self._base,
            start=start,
            num=num,
            total=len(found),
            links=links,
            tombstones=list(self._catalogue.tombstones) if tells and start == 1 else (),
        )
        return Reply(body, FEED_TYPE)

    def _create(self, request: Request) -> Reply:
        entry = _read(request)
        if entry.title is None:
            raise Refusal(400, "an asset needs a title")
        asset = self._catalogue.create(
            entry.title, entry.identifier, _keywords(entry), permissions=_permissions(entry)
        )
        href = f"{self._base}{documents.ASSETS_PATH}/{asset.number}"
        return self._shown(asset, 201, {"Location": href})

    def _asset(self, request: Request, number: str) -> Reply:
        inline = "describedby" in request.inline
        return self._shown(self._catalogue.asset(number), inline=inline)

    def _update(self, request: Request, number: str) -> Reply:
        entry = _read(request)
        changes = {
            "title": entry.title or "",
            "identifier": entry.identifier,
            "keywords": _keywords(entry),
            "permissions": _permissions(entry),
        }
        return self._shown(self._catalogue.update(number, request.etag, **changes))

    def _delete(self, request: Request, number: str) -> Reply:
        self._catalogue.delete(number, request.etag)
        return Reply(status=204)

    def _metadata(self, request: Request, number: str) -> Reply:
        return _payload(self._catalogue.asset(number))

    def _put_metadata(self, request: Request, number: str) -> Reply:
        # Payload refuses any other document. What it does not know of is stored all the same.
        payload = Payload(parse(request.body, name="the metadata"))
        stored = plain(payload.element)
        return _payload(self._catalogue.put_payload(number, stored, request.etag))

    def _shown(
        self,
        asset: Asset,
        status: int = 200,
        headers: dict[str, str] | None = None,
        *,
        inline: bool = False,
    ) -> Reply:
        body = serialise(documents.asset_entry(asset, self._base, inline=inline))
        return Reply(body, ENTRY_TYPE, status, {"ETag": asset.etag} | (headers or {}))


def _read(request: Request) -> AssetView:
    name = "the entry"
    return as_asset(as_entry(parse(request.body, name=name), name))


def _payload(asset: Asset) -> Reply:
    return Reply(redress(asset.payload), PAYLOAD_TYPE, headers={"ETag": asset.payload_etag})


def _keywords(entry: AssetView) -> tuple[tuple[str, str], ...]:
    return tuple((scheme or "", term) for scheme, term in entry.keywords)


def _permissions(entry: AssetView) -> tuple[Permission, ...]:
    return tuple(
        (kind, group, tuple(sorted(rights)))
        for kind in ("asset", "media")
        for group, rights in entry.permissions(kind).items()
    )
