"""Unmanaged files by their old names."""

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
        """Read the entry in an answer, a message, bytes or text; or take an element."""
        if isinstance(answer, Element):
            self._become(answer, None, base=None)
        else:
            super().__init__(answer)

    @property
    def id(self) -> str | None:
        """Its atom:id."""
        return self.entry.id

    @property
    def title(self) -> str | None:
        """Its name; that of a deleted file, of which only the address is left, is its end."""
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
        """Its url, and its filesize in bytes."""
        file = File(self.entry.element)
        return SimpleNamespace(url=file.url, filesize=file.size)


class UnmanagedFileCollection(Document):
    """The files in an answer or a message; `monitor_link` and the like are its links."""

    NAME: ClassVar[str] = "the files"

    @property
    def entries(self) -> list[UnmanagedFile]:
        """The files, in their order."""
        return [UnmanagedFile(each) for each in self._element.iter(f"{{{ATOM}}}entry")]

    def page(self, element: Element) -> "UnmanagedFileCollection":
        """Return another page of the same feed."""
        made = UnmanagedFileCollection.__new__(UnmanagedFileCollection)
        made.stand_on(element)
        return made

    def __iter__(self) -> Iterator[UnmanagedFile]:
        return iter(self.entries)


class UriList(Described):
    """A list of addresses."""

    content_type = "text/uri-list"

    def __init__(self, uris: Sequence[Any]) -> None:
        self.uris = [getattr(each, "href", each) for each in uris]

    def generate(self) -> bytes:
        """Return it as it is sent."""
        return "".join(f"{each}\n" for each in self.uris).encode()
