"""Item: an asset by its old name.

Its lists (`keywords`, `acl`, `mediaacl`) are live: old code changes them in place, and then PUTs
the item.
"""

from collections.abc import Iterable, MutableSequence
from copy import deepcopy
from typing import Any, ClassVar, overload

from lxml import etree

from flowtools.compat.acl import Acl
from flowtools.compat.document import Document
from flowtools.vizone.asset import Asset, AtomCategory
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL, ATOM, DCTERMS, PREFIXES


class Item(Document):
    """An asset: an entry with an identity, media, keywords and access control lists."""

    NAME: ClassVar[str] = "the asset"

    def __init__(self, answer: Any = None, id: str | None = None, title: str | None = None) -> None:
        """Read an entry; or make a new one, with `id` as its site identity and a title.

        Args:
            answer: An answer, a message, bytes or text; None makes a new entry.
            id: Site identity of a new entry.
            title: Title of a new entry; None takes the id.

        Raises:
            ProtocolError: The content is not XML.
        """
        if answer is not None:
            super().__init__(answer)
            return
        element = etree.Element(f"{{{ATOM}}}entry", nsmap=PREFIXES)
        # An Atom entry must have a title (RFC 4287, 4.1.2).
        etree.SubElement(element, f"{{{ATOM}}}title").text = title or id
        self._become(element, None, base=None)
        if id is not None:
            self.id = id

    @property
    def id(self) -> str | None:
        """The site identity; if there is none, the number, or the atom:id."""
        return self.entry.identifier or self.entry.identifiers.get("id") or self.entry.id

    @id.setter
    def id(self, id: str) -> None:
        self._say("identifier", DCTERMS, id)

    @property
    def assetmediatype(self) -> str | None:
        """The kind of its media; "placeholder" as long as there is none."""
        return self.entry.media

    @property
    def mediastatus(self) -> str | None:
        """The state of its media, such as online; "deleted" for a deleted asset."""
        return self.entry.status

    @property
    def keywords(self) -> "Keywords":
        """The categories, as a live list: changing it changes the document."""
        return Keywords(self)

    @keywords.setter
    def keywords(self, keywords: Iterable[tuple[str | None, str]]) -> None:
        Keywords(self)[:] = [AtomCategory(*each) for each in keywords]

    @property
    def acl(self) -> Acl:
        """The access control list of the asset; changing it changes the document."""
        return Acl(entry=self.whole, kind="asset")

    @acl.setter
    def acl(self, acl: Acl) -> None:
        self._take_acl(acl, "asset")

    @property
    def mediaacl(self) -> Acl:
        """The access control list of its media; changing it changes the document."""
        return Acl(entry=self.whole, kind="media")

    @mediaacl.setter
    def mediaacl(self, acl: Acl) -> None:
        self._take_acl(acl, "media")

    def whole(self) -> Element:
        """Return the element of the whole entry; fetch it if the event did not carry it.

        Raises:
            ConfigurationError: The entry cannot be fetched.
        """
        self._ensure_whole()
        return self._element

    def _take_acl(self, acl: Acl, kind: str) -> None:
        # `given` may be the list of this very entry (item.acl = item.acl), or of another.
        given = acl.holder()
        element = self.whole()
        for each in element.findall(f"{{{ACL}}}{kind}"):
            if each is not given:
                element.remove(each)
        if given is not None and given.getparent() is not element:
            taken = deepcopy(given)
            taken.tag = f"{{{ACL}}}{kind}"
            element.append(taken)


class Keywords(MutableSequence[AtomCategory]):
    """The categories of an Item as a live list of AtomCategory, or of (scheme, term) pairs."""

    def __init__(self, item: Item) -> None:
        self._item = item

    @overload
    def __getitem__(self, index: int) -> AtomCategory: ...

    @overload
    def __getitem__(self, index: slice) -> list[AtomCategory]: ...

    def __getitem__(self, index: Any) -> Any:
        return self._item.entry.keywords[index]

    def __len__(self) -> int:
        return len(self._item.entry.keywords)

    @overload
    def __setitem__(self, index: int, value: AtomCategory) -> None: ...

    @overload
    def __setitem__(self, index: slice, value: Iterable[AtomCategory]) -> None: ...

    def __setitem__(self, index: Any, value: Any) -> None:
        keywords: list[Any] = self._whole()
        keywords[index] = list(value) if isinstance(index, slice) else value
        self._write(keywords)

    def __delitem__(self, index: Any) -> None:
        keywords = self._whole()
        del keywords[index]
        self._write(keywords)

    def insert(self, index: int, value: AtomCategory) -> None:
        """Insert a category before the place `index`."""
        keywords = self._whole()
        keywords.insert(index, value)
        self._write(keywords)

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Keywords) else other)

    def __repr__(self) -> str:
        return repr(list(self))

    def _whole(self) -> list[AtomCategory]:
        return Asset(self._item.whole()).keywords

    def _write(self, keywords: list[Any]) -> None:
        # Checked before anything is written, so that an error leaves the document as it was.
        for each in keywords:
            if not isinstance(each, tuple) or len(each) != 2:
                raise TypeError(f"a keyword is an AtomCategory(scheme, term), not {each!r}")
        Asset(self._item.whole()).keywords = keywords
