"""Handlers for media: uploads, imports, and the Incoming and transfer request of each.

There are two ways to upload, and both are seen in use: a PUT of the bytes to the asset's
edit-media link, and an empty PUT to /upload, whose answer says where to PUT the bytes.
"""

import uuid
from threading import Lock
from urllib.parse import unquote, urlsplit

from flowtools.sim import documents
from flowtools.sim.asking import NAME, NUMBER, Refusal, Reply, Request, Routes
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.documents import EPOCH, INCOMING_PATH
from flowtools.sim.imports import Import, Imports
from flowtools.sim.transfer_documents import TRANSFERS_PATH, incoming_entry, transfer_entry
from flowtools.sim.vocabulary import GoneError, StaleError
from flowtools.sim.xml import add, root, serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE, as_entry
from flowtools.vizone.document import parse
from flowtools.vizone.namespaces import ATOM
from flowtools.vizone.transfer import TransferRequest

PRIORITIES = ("low", "medium", "high")

MOST_PROMISED = 10_000
"""Number of addresses for uploads that are kept; the oldest is forgotten first."""


class MediaResources:
    """The handlers for media. Thread-safe."""

    def __init__(self, catalogue: Catalogue, imports: Imports, base: str, monitor: str) -> None:
        """Serve `catalogue` and `imports`.

        Args:
            catalogue: Where the assets and files are.
            imports: Where imports and uploads are.
            base: URL that links start with.
            monitor: STOMP URL of the monitor link of every transfer request.
        """
        self._catalogue = catalogue
        self._imports = imports
        self._base = base
        self._monitor = monitor
        self._promised: dict[str, str] = {}
        self._lock = Lock()

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        asset = f"/(?:thirdparty|api)/asset/item/{NUMBER}"
        incoming = {"GET": self._one, "DELETE": self._delete}
        return [
            (f"{asset}/media", {"GET": self._media, "PUT": self._put_media}),
            (f"{asset}/upload", {"PUT": self._ask}),
            (f"/upload/{NAME}", {"PUT": self._upload}),
            (f"{asset}/import", {"POST": self._import}),
            (INCOMING_PATH, {"GET": self._incomings}),
            (f"{INCOMING_PATH}/{NUMBER}", incoming),
            (f"{TRANSFERS_PATH}/{NUMBER}", {"GET": self._transfer, "PUT": self._put_transfer}),
        ]

    def _media(self, request: Request, number: str) -> Reply:
        content = self._catalogue.asset(number).content
        if content is None:
            raise GoneError(f"asset {number} has no media")
        return Reply(content, "application/octet-stream")

    def _put_media(self, request: Request, number: str) -> Reply:
        self._imports.start(number, "an upload", request.body)
        return Reply(status=202)

    def _ask(self, request: Request, number: str) -> Reply:
        self._catalogue.asset(number)
        token = uuid.uuid4().hex
        with self._lock:
            self._promised[token] = number
            if len(self._promised) > MOST_PROMISED:
                del self._promised[next(iter(self._promised))]
        # Relative and with a redirecting status, the hardest case: which status a real server
        # sends is not known. A client must not follow it with a GET.
        return Reply(status=303, headers={"Location": f"/upload/{token}"})

    def _upload(self, request: Request, token: str) -> Reply:
        with self._lock:
            number = self._promised.get(token)
        if number is None:
            raise GoneError("there is no such upload")
        self._imports.start(number, "an upload", request.body)
        return Reply(status=201)

    def _import(self, request: Request, number: str) -> Reply:
        lines = request.body.decode("utf-8", "replace").split()
        if len(lines) != 1:
            raise Refusal(400, "expected one address")
        name, content = self._source(lines[0])
        task = self._imports.start(number, name, content)
        return self._shown(task, 201)

    def _source(self, address: str) -> tuple[str, bytes]:
        if address.startswith("ftp://"):
            # Nothing is fetched: an FTP server is not needed to develop an import.
            name = unquote(urlsplit(address).path.rpartition("/")[2])
            return name, b"bytes of " + name.encode()
        prefix = f"{self._base}/api/media/unmanaged/"
        location, slash, name = address.removeprefix(prefix).partition("/")
        if not address.startswith(prefix) or not slash:
            raise Refusal(400, "expected an unmanaged file or an ftp address")
        try:
            file = self._catalogue.storages.file(unquote(location), unquote(name))
        except GoneError:
            raise Refusal(400, f"there is no file at {address}") from None
        return file.name, file.content

    def _incomings(self, request: Request) -> Reply:
        feed = root(ATOM, "feed")
        add(feed, ATOM, "id", "urn:vme:default:incoming")
        add(feed, ATOM, "title", "Incoming")
        add(feed, ATOM, "updated", EPOCH)
        feed.extend(incoming_entry(each, self._base) for each in self._imports.all())
        return Reply(serialise(feed), FEED_TYPE)

    def _one(self, request: Request, id: str) -> Reply:
        return self._shown(self._imports.get(id))

    def _delete(self, request: Request, id: str) -> Reply:
        self._imports.delete(id)
        return Reply(status=204)

    def _transfer(self, request: Request, id: str) -> Reply:
        return self._shown_transfer(self._imports.get(id))

    def _put_transfer(self, request: Request, id: str) -> Reply:
        name = "the transfer request"
        entry = as_entry(parse(request.body, name=name), name)
        priority = TransferRequest(entry.element).priority
        if priority not in PRIORITIES:
            raise Refusal(400, f"expected a priority of {', '.join(PRIORITIES)}")
        if request.etag is not None and request.etag != _etag(self._imports.get(id)):
            raise StaleError("the transfer request has changed")
        return self._shown_transfer(self._imports.change(id, priority=priority))

    def _shown(self, task: Import, status: int = 200) -> Reply:
        href = f"{self._base}{documents.INCOMING_PATH}/{task.id}"
        body = serialise(incoming_entry(task, self._base))
        return Reply(body, ENTRY_TYPE, status, {"Location": href} if status == 201 else {})

    def _shown_transfer(self, task: Import) -> Reply:
        body = serialise(transfer_entry(task, self._base, self._monitor))
        # The etag depends on the priority only. A client cannot overwrite the progress, and if
        # the etag changed with it, every PUT during an import would fail.
        return Reply(body, ENTRY_TYPE, headers={"ETag": _etag(task)})


def _etag(task: Import) -> str:
    return f'"{task.id}-{task.priority}"'
