"""Item: an asset by its old name, with live lists of its keywords and rights."""

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
    """An asset."""

    NAME: ClassVar[str] = "the asset"

    def __init__(self, answer: Any = None, id: str | None = None, title: str | None = None) -> None:
        """Read the entry in an answer, a message, bytes or text; or make one with an id.

        Raises:
            ProtocolError: It is not XML.
        """
        if answer is not None:
            super().__init__(answer)
            return
        element = etree.Element(f"{{{ATOM}}}entry", nsmap=PREFIXES)
        etree.SubElement(element, f"{{{ATOM}}}title").text = title or id
        self._become(element, None, base=None)
        if id is not None:
            self.id = id

    @property
    def id(self) -> str | None:
        """Its site identity, or its number."""
        return self.entry.identifier or self.entry.identifiers.get("id") or self.entry.id

    @id.setter
    def id(self, id: str) -> None:
        self._say("identifier", DCTERMS, id)

    @property
    def assetmediatype(self) -> str | None:
        """The kind of its media; placeholder where there is none."""
        return self.entry.media

    @property
    def mediastatus(self) -> str | None:
        """The state of its media."""
        return self.entry.status

    @property
    def keywords(self) -> "Keywords":
        """Its categories; what is changed in the list is changed in the document."""
        return Keywords(self)

    @keywords.setter
    def keywords(self, keywords: Iterable[tuple[str | None, str]]) -> None:
        Keywords(self)[:] = [AtomCategory(*each) for each in keywords]

    @property
    def acl(self) -> Acl:
        """Who may do what with it; what is changed in the list is changed in the document."""
        return Acl(entry=self.whole, kind="asset")

    @acl.setter
    def acl(self, acl: Acl) -> None:
        self._take_acl(acl, "asset")

    @property
    def mediaacl(self) -> Acl:
        """Who may do what with its media."""
        return Acl(entry=self.whole, kind="media")

    @mediaacl.setter
    def mediaacl(self, acl: Acl) -> None:
        self._take_acl(acl, "media")

    def whole(self) -> Element:
        """Return the entry's element, fetched if the event did not carry it; see generate."""
        self._ensure_whole()
        return self._element

    def _take_acl(self, acl: Acl, kind: str) -> None:
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
    """The categories of an Item; live. Each is an AtomCategory, or its (scheme, term)."""

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
        """Put a category before the place `index`; in the document it comes after the others."""
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
        for each in keywords:
            if not isinstance(each, tuple) or len(each) != 2:
                raise TypeError(f"a keyword is an AtomCategory(scheme, term), not {each!r}")
        Asset(self._item.whole()).keywords = keywords
