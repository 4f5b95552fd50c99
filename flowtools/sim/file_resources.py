"""Handlers for import storages: the list of storages, their files, the bytes of a file.

A PUT to /files/LOCATION/NAME, by which tests let a file arrive, exists on no Viz One.
"""

from urllib.parse import urlencode

from flowtools.sim import documents, file_documents
from flowtools.sim.asking import NAME, Reply, Request, Routes, integer
from flowtools.sim.catalogue import Catalogue
from flowtools.sim.xml import serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE

PER_PAGE = 100
"""Files on a page if the request has no `num`."""


class FileResources:
    """The handlers for import storages and files. Thread-safe."""

    def __init__(self, catalogue: Catalogue, base: str, monitors: dict[str, str]) -> None:
        """Serve the storages of `catalogue`.

        Args:
            catalogue: Where the files are.
            base: URL that links start with.
            monitors: STOMP URL of the monitor link, by handle of the storage.
        """
        self._catalogue = catalogue
        self._storages = catalogue.storages
        self._base = base
        self._monitors = monitors

    def routes(self) -> Routes:
        """Return the routes of these handlers."""
        location = f"/api/media/unmanaged/{NAME}"
        content = {"GET": self._content, "PUT": self._put_content}
        return [
            (documents.LOCATIONS_PATH, {"GET": self._locations}),
            (location, {"GET": self._files}),
            (f"{location}/{NAME}", {"GET": self._file, "DELETE": self._delete}),
            (f"/files/{NAME}/{NAME}", content),
        ]

    def _locations(self, request: Request) -> Reply:
        return Reply(file_documents.locations(self._storages.locations, self._base), FEED_TYPE)

    def _files(self, request: Request, location: str) -> Reply:
        files = self._storages.files(location)
        start = integer(request.query, "start", 1, 1, 10**9)
        num = integer(request.query, "num", PER_PAGE, 1, 1000)
        links = {}
        if start - 1 + num < len(files):
            following = urlencode({"start": start + num, "num": num})
            links["next"] = f"{self._base}{file_documents.location_path(location)}?{following}"
        page = files[start - 1 : start - 1 + num]
        monitor = self._monitors[location]
        body = file_documents.file_feed(page, location, self._base, monitor, links=links)
        return Reply(body, FEED_TYPE)

    def _file(self, request: Request, location: str, name: str) -> Reply:
        file = self._storages.file(location, name)
        return Reply(serialise(file_documents.file_entry(file, self._base)), ENTRY_TYPE)

    def _delete(self, request: Request, location: str, name: str) -> Reply:
        self._storages.delete(location, name)
        return Reply(status=204)

    def _content(self, request: Request, location: str, name: str) -> Reply:
        return Reply(self._storages.file(location, name).content, "application/octet-stream")

    def _put_content(self, request: Request, location: str, name: str) -> Reply:
        self._catalogue.put_file(location, name, request.body)
        return Reply(status=201)
