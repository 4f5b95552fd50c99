"""Unmanaged files: what lies in an import storage and is no asset yet."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowtools.errors import ConfigurationError
from flowtools.vizone.atom import MEDIA, Entry, Feed
from flowtools.vizone.document import Element, child, integer

if TYPE_CHECKING:
    from flowtools.vizone.client import Client

KEYWORDS = ("unmanaged-file", "unmanaged-files", "unmanagedfile", "unmanaged")
"""What the collection of locations may be called; the real term is not public."""


class Location(Entry):
    """An import storage."""

    @property
    def handle(self) -> str:
        """The storage handle: what the location is called."""
        last = (self.id or "").rpartition(":")[2]
        return self.identifier or self.title or last


class UnmanagedFile(Entry):
    """A file in an import storage; while it is being written its size may be 0."""

    @property
    def name(self) -> str | None:
        """The file's name."""
        return self.title

    @property
    def size(self) -> int | None:
        """Its size in bytes, where it says."""
        content = self._content()
        return None if content is None else integer(content.get("fileSize"))

    @property
    def url(self) -> str | None:
        """Where its bytes are to be had."""
        content = self._content()
        return None if content is None else content.get("url")

    def _content(self) -> Element | None:
        group = child(self.element, "group", MEDIA)
        found = None if group is None else child(group, "content", MEDIA)
        return found if found is not None else self.element.find(f"{{{MEDIA}}}content")


def as_file(entry: Entry) -> UnmanagedFile:
    """Return `entry` seen as an unmanaged file."""
    return UnmanagedFile(entry.element, entry.etag)


class Files:
    """What can be done with unmanaged files; `client.files`."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def locations(self) -> list[Location]:
        """Return the import storages that the user may see."""
        url = self._client.collection(*KEYWORDS)
        return [
            Location(entry.element) for page in self._client.pages(url) for entry in page.entries
        ]

    def location(self, handle: str) -> Location:
        """Return the import storage called `handle`.

        Raises:
            ConfigurationError: There is none.
        """
        found = self.locations()
        for each in found:
            if each.handle == handle:
                return each
        known = ", ".join(f"'{each.handle}'" for each in found)
        raise ConfigurationError(
            f"cannot find location '{handle}': "
            + (f"there are {known}" if known else "the user may see none")
        )

    def feed(self, location: Location) -> Feed:
        """Return the feed of the files in `location`: its first page."""
        return self._client.feed(location.follow("down"))

    def find(self, location: Location) -> Iterator[UnmanagedFile]:
        """Yield the files in `location`."""
        for page in self._client.pages(location.follow("down")):
            yield from map(as_file, page.entries)

    def delete(self, file: UnmanagedFile) -> None:
        """Delete the file; it is no error if it is gone already."""
        self._client.delete(file)
