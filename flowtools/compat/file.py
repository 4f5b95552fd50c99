"""Unmanaged files, that is, files in an import storage, by their old names."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from flowtools.compat.document import Document
from flowtools.core.described import Described
from flowtools.vizone.document import Element
from flowtools.vizone.files import UnmanagedFile as File
from flowtools.vizone.namespaces import ATOM


class UnmanagedFile(Document):
    """A file in an import storage."""

    NAME: ClassVar[str] = "the file"

    def __init__(self, answer: Any) -> None:
        """Read the entry in an answer, a message, bytes or text; or use an element as it is.

        Raises:
            ProtocolError: The content is not XML.
        """
        if isinstance(answer, Element):
            self._become(answer, None, base=None)
        else:
            super().__init__(answer)

    @property
    def id(self) -> str | None:
        """The atom:id."""
        return self.entry.id

    @property
    def title(self) -> str | None:
        """The name of the file."""
        # Of a deleted file only the address or the id may be left: its last part is the name.
        said = self.entry.title
        if said is None:
            path = urlsplit(self.entry.self_link or "").path or (self.entry.id or "")
            said = unquote(path.rstrip("/").rpartition("/")[2].rpartition(":")[2]) or None
        return said

    @title.setter
    def title(self, title: str) -> None:
        self._say("title", ATOM, title)

    @property
    def media(self) -> SimpleNamespace:
        """An object with `url`, where the bytes are, and `filesize` in bytes."""
        file = File(self.entry.element)
        return SimpleNamespace(url=file.url, filesize=file.size)


class UnmanagedFileCollection(Document):
    """One page of files, or the files in a message; its links are those of the storage's feed."""

    NAME: ClassVar[str] = "the files"

    @property
    def entries(self) -> list[UnmanagedFile]:
        """The files, in order."""
        # `iter` includes the root: a body may also be a single entry instead of a feed.
        return [UnmanagedFile(each) for each in self._element.iter(f"{{{ATOM}}}entry")]

    def page(self, element: Element) -> "UnmanagedFileCollection":
        """Return `element`, another page of the same feed, as an object of this class."""
        made = UnmanagedFileCollection.__new__(UnmanagedFileCollection)
        made.stand_on(element)
        return made

    def __iter__(self) -> Iterator[UnmanagedFile]:
        return iter(self.entries)


class UriList(Described):
    """A list of addresses, as it is posted to import a file or to add members."""

    content_type = "text/uri-list"

    def __init__(self, uris: Sequence[Any]) -> None:
        self.uris = [getattr(each, "href", each) for each in uris]

    def generate(self) -> bytes:
        """Return the list as bytes, one address a line."""
        return "".join(f"{each}\n" for each in self.uris).encode()
