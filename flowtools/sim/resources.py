"""What each address of the stand-in answers: the resources, apart from HTTP itself."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlencode

from flowtools.sim import documents
from flowtools.sim.catalogue import Asset, Catalogue
from flowtools.sim.people import ADMIN
from flowtools.vizone.assets import Asset as AssetView
from flowtools.vizone.assets import as_asset
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE, as_entry
from flowtools.vizone.document import parse, serialise
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload

PER_PAGE = 25
"""Entries on a page of the asset feed, if the request does not say."""

MOST_PER_PAGE = 1000


@dataclass(frozen=True)
class Request:
    """A request whose user is known.

    Attributes:
        user: Who asks.
        method: GET, POST, PUT or DELETE.
        path: The path as it came.
        query: The parameters.
        etag: What If-Match says.
        body: What it brings.
    """

    user: str
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    etag: str | None = None
    body: bytes = b""


@dataclass(frozen=True)
class Reply:
    """An answer."""

    body: bytes = b""
    type: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request cannot be done."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


Answerer = Callable[..., Reply]


class Resources:
    """The resources of one stand-in; any thread may call."""

    def __init__(
        self, catalogue: Catalogue, base: str, asset_monitor: str, file_monitors: dict[str, str]
    ) -> None:
        """Serve `catalogue`.

        Args:
            catalogue: What there is.
            base: The address that links start with.
            asset_monitor: The STOMP URL where assets are told of.
            file_monitors: The STOMP URL of each import storage.
        """
        self._catalogue = catalogue
        self._base = base
        self._asset_monitor = asset_monitor
        self._file_monitors = file_monitors
        number, name = "([0-9]{1,30})", "([^/]+)"
        asset = f"/(?:thirdparty|api)/asset/item/{number}"
        location = f"/api/media/unmanaged/{name}"
        self._routes: list[tuple[re.Pattern[str], dict[str, Answerer]]] = [
            (re.compile(path), methods)
            for path, methods in (
                ("/thirdparty/?", {"GET": self._service}),
                (
                    "/(?:thirdparty|api)/asset/item",
                    {"GET": self._asset_feed, "POST": self._create_asset},
                ),
                (
                    asset,
                    {
                        "GET": self._asset,
                        "PUT": self._update_asset,
                        "DELETE": self._delete_asset,
                    },
                ),
                (f"{asset}/metadata", {"GET": self._metadata, "PUT": self._put_metadata}),
                (documents.LOCATIONS_PATH, {"GET": self._locations}),
                (location, {"GET": self._files}),
                (f"{location}/{name}", {"GET": self._file, "DELETE": self._delete_file}),
                (f"/files/{name}/{name}", {"GET": self._content, "PUT": self._put_content}),
            )
        ]

    def answer(self, request: Request) -> Reply:
        """Return the answer to `request`.

        Raises:
            Refusal: It cannot be done.
            GoneError: It is about something that is not there.
            StaleError: Its etag is not the present one.
            ProtocolError: Its body makes no sense.
        """
        for pattern, methods in self._routes:
            found = pattern.fullmatch(request.path)
            if found is None:
                continue
            if request.method not in methods:
                raise Refusal(405, f"there is no {request.method} here")
            parts = [unquote(part) for part in found.groups()]
            return methods[request.method](request, *parts)
        raise Refusal(404, "there is nothing here")

    def _service(self, request: Request) -> Reply:
        return Reply(documents.service(self._base), documents.SERVICE_TYPE)

    def _asset_feed(self, request: Request) -> Reply:
        start = _integer(request.query, "start", 1, 1, 10**9)
        num = _integer(request.query, "num", PER_PAGE, 1, MOST_PER_PAGE)
        found = self._catalogue.assets(request.query.get("q", ""))
        here = self._base + documents.ASSETS_PATH
        links = {"self": f"{here}?{urlencode(request.query)}"}
        if start - 1 + num < len(found):
            following = urlencode(request.query | {"start": str(start + num), "num": str(num)})
            links["next"] = f"{here}?{following}"
        if request.user == ADMIN:
            links["monitor"] = self._asset_monitor
        page = found[start - 1 : start - 1 + num]
        body = documents.asset_feed(
            page, self._base, start=start, num=num, total=len(found), links=links
        )
        return Reply(body, FEED_TYPE)

    def _create_asset(self, request: Request) -> Reply:
        entry = self._read_entry(request)
        if entry.title is None:
            raise Refusal(400, "an asset needs a title")
        asset = self._catalogue.create(entry.title, entry.identifier, _keywords(entry))
        href = f"{self._base}{documents.ASSETS_PATH}/{asset.number}"
        return self._shown(asset, 201, {"Location": href})

    def _asset(self, request: Request, number: str) -> Reply:
        return self._shown(self._catalogue.asset(number))

    def _update_asset(self, request: Request, number: str) -> Reply:
        entry = self._read_entry(request)
        changes = {
            "title": entry.title or "",
            "identifier": entry.identifier,
            "keywords": _keywords(entry),
        }
        return self._shown(self._catalogue.update(number, request.etag, **changes))

    def _delete_asset(self, request: Request, number: str) -> Reply:
        self._catalogue.delete(number, request.etag)
        return Reply(status=204)

    def _metadata(self, request: Request, number: str) -> Reply:
        return _payload(self._catalogue.asset(number))

    def _put_metadata(self, request: Request, number: str) -> Reply:
        payload = Payload(parse(request.body, name="the metadata"))
        stored = serialise(payload.element)
        return _payload(self._catalogue.put_payload(number, stored, request.etag))

    def _locations(self, request: Request) -> Reply:
        return Reply(documents.locations(self._catalogue.locations, self._base), FEED_TYPE)

    def _files(self, request: Request, location: str) -> Reply:
        files = self._catalogue.files(location)
        monitor = self._file_monitors[location]
        return Reply(documents.file_feed(files, location, self._base, monitor), FEED_TYPE)

    def _file(self, request: Request, location: str, name: str) -> Reply:
        file = self._catalogue.file(location, name)
        return Reply(serialise(documents.file_entry(file, self._base)), ENTRY_TYPE)

    def _delete_file(self, request: Request, location: str, name: str) -> Reply:
        self._catalogue.delete_file(location, name)
        return Reply(status=204)

    def _content(self, request: Request, location: str, name: str) -> Reply:
        content = self._catalogue.file(location, name).content
        return Reply(content, "application/octet-stream")

    def _put_content(self, request: Request, location: str, name: str) -> Reply:
        self._catalogue.put_file(location, name, request.body)
        return Reply(status=201)

    def _read_entry(self, request: Request) -> AssetView:
        name = "the entry"
        return as_asset(as_entry(parse(request.body, name=name), name))

    def _shown(
        self, asset: Asset, status: int = 200, headers: dict[str, str] | None = None
    ) -> Reply:
        body = serialise(documents.asset_entry(asset, self._base))
        return Reply(body, ENTRY_TYPE, status, {"ETag": asset.etag} | (headers or {}))


def _payload(asset: Asset) -> Reply:
    return Reply(asset.payload, PAYLOAD_TYPE, headers={"ETag": asset.payload_etag})


def _keywords(entry: AssetView) -> tuple[tuple[str, str], ...]:
    return tuple((scheme or "", term) for scheme, term in entry.keywords)


def _integer(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    said = query.get(name)
    if said is None:
        return default
    if not (said.isascii() and said.isdigit() and len(said) < 12 and int(said) >= least):
        raise Refusal(400, f"{name} is no number of at least {least}")
    return min(int(said), most)
