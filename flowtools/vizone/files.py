"""Unmanaged files: what lies in an import storage and is no asset yet."""

from collections.abc import Iterator

from flowtools.core.described import Described
from flowtools.core.errors import ConfigurationError, ProtocolError
from flowtools.vizone.atom import ENTRY_TYPE, URI_LIST, Entry, Feed, Resource, as_entry
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.document import Element, child, integer, parse
from flowtools.vizone.namespaces import MEDIA
from flowtools.vizone.transfer import Incoming, as_incoming

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
        # fileSize is what captured entries say; the spelling for files is not public.
        said = (
            {}
            if content is None
            else {str(name).lower(): str(each) for name, each in content.items()}
        )
        return integer(said.get("filesize"))

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


class Files(Described):
    """What can be done with unmanaged files; `client.files`."""

    FACTS = ("_client",)

    def __init__(self, client: AtomPub) -> None:
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

    def pages(self, location: Location) -> Iterator[Feed]:
        """Yield the pages of the feed of the files in `location`."""
        return self._client.pages(location.follow("down"))

    def delete(self, file: UnmanagedFile) -> None:
        """Delete the file; it is no error if it is gone already."""
        self._client.delete(file)

    def read(self, file: UnmanagedFile) -> bytes:
        """Return the bytes of the file: a small one, such as a sidecar.

        Raises:
            ProtocolError: It has no address, or is too large to hold.
        """
        if file.url is None:
            raise ProtocolError(f"cannot read file '{file.name}': its entry has no address")
        return self._client.request("GET", file.url, accept="*/*").content

    def import_into(self, asset: Resource, file: UnmanagedFile | str) -> Incoming:
        """Let the server take `file`, or an ftp URL, as the media of the placeholder `asset`.

        The request is not repeated where its answer is lost: read the asset to see.

        Returns:
            What follows; see Transfers.

        Raises:
            ConflictError: The asset has media, or gets some, already.
        """
        source = file if isinstance(file, str) else file.follow("self", "edit")
        answer = self._client.request(
            "POST",
            asset.follow("import-unmanaged"),
            body=f"{source}\n".encode(),
            content_type=URI_LIST,
            accept=ENTRY_TYPE,
        )
        return as_incoming(as_entry(parse(answer.content, name=answer.url), answer.url))
