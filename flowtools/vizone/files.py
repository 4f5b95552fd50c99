"""Unmanaged files: files in an import storage that are not imported into an asset yet."""

from collections.abc import Iterator

from flowtools.core.described import Described
from flowtools.core.errors import ConfigurationError, ProtocolError
from flowtools.vizone.atom import ENTRY_TYPE, URI_LIST, Entry, Feed, Resource, as_entry
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.document import Element, child, integer, parse
from flowtools.vizone.namespaces import MEDIA
from flowtools.vizone.transfer import Incoming, as_incoming

KEYWORDS = ("unmanaged-file", "unmanaged-files", "unmanagedfile", "unmanaged")
"""Possible keywords of the collection of locations; the real one is not public."""


class Location(Entry):
    """An import storage."""

    @property
    def handle(self) -> str:
        """The storage handle, which is the name of the location."""
        last = (self.id or "").rpartition(":")[2]
        return self.identifier or self.title or last


class UnmanagedFile(Entry):
    """A file in an import storage. Its size may be 0 while it is being written."""

    @property
    def name(self) -> str | None:
        """Name of the file."""
        return self.title

    @property
    def size(self) -> int | None:
        """Size of the file in bytes; None if the entry does not say."""
        content = self._content()
        # Assets in public traces say fileSize. The spelling for files is not public, so upper and
        # lower case are not distinguished.
        said = (
            {}
            if content is None
            else {str(name).lower(): str(each) for name, each in content.items()}
        )
        return integer(said.get("filesize"))

    @property
    def url(self) -> str | None:
        """Address of the file's bytes; None if the entry does not say."""
        content = self._content()
        return None if content is None else content.get("url")

    def _content(self) -> Element | None:
        group = child(self.element, "group", MEDIA)
        found = None if group is None else child(group, "content", MEDIA)
        return found if found is not None else self.element.find(f"{{{MEDIA}}}content")


def as_file(entry: Entry) -> UnmanagedFile:
    """Return an UnmanagedFile for the XML of `entry`."""
    return UnmanagedFile(entry.element, entry.etag)


class Files(Described):
    """Operations on unmanaged files, as `client.files`. Any thread may call them."""

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
            ConfigurationError: The user can see no such storage.
        """
        found = self.locations()
        for each in found:
            if each.handle == handle:
                return each
        known = ", ".join(f"'{each.handle}'" for each in found)
        raise ConfigurationError(
            f"cannot find location '{handle}': "
            + (f"the user can see {known}" if known else "the user can see none")
        )

    def feed(self, location: Location) -> Feed:
        """Return the first page of the feed of the files in `location`."""
        return self._client.feed(location.follow("down"))

    def find(self, location: Location) -> Iterator[UnmanagedFile]:
        """Yield the files in `location`, in the server's order."""
        for page in self._client.pages(location.follow("down")):
            yield from map(as_file, page.entries)

    def pages(self, location: Location) -> Iterator[Feed]:
        """Yield the pages of the feed of the files in `location`."""
        return self._client.pages(location.follow("down"))

    def delete(self, file: UnmanagedFile) -> None:
        """Delete the file; no error if it does not exist any more."""
        self._client.delete(file)

    def read(self, file: UnmanagedFile) -> bytes:
        """Return the bytes of a small file, such as an XML sidecar.

        Raises:
            ProtocolError: The entry has no address, or the file is larger than MAX_DOCUMENT bytes.
        """
        if file.url is None:
            raise ProtocolError(f"cannot read file '{file.name}': its entry has no address")
        return self._client.request("GET", file.url, accept="*/*").content

    def import_into(self, asset: Resource, file: UnmanagedFile | str) -> Incoming:
        """Make the server import `file` as the media of the placeholder `asset`.

        If the answer is lost, the request is not repeated, because the import may have begun: read
        the asset to find out.

        Args:
            asset: A placeholder.
            file: The file, or an ftp URL.

        Returns:
            The Incoming that tells how far the import is; see Transfers.

        Raises:
            ConflictError: The asset has media already, or is being imported.
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
