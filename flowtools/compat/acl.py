"""Access control lists by their old names: Acl, and AclEntry for each of its lines.

Lines are live: a line that was taken from a list is a view of the document, and setting a right
changes the document. A line finds its element anew at each access (`Lines._live`), since the
document is replaced after a PUT, when the entry is parsed again.
"""

from collections.abc import Callable, Iterable, MutableSequence
from copy import deepcopy
from typing import Any, overload

from lxml import etree

from flowtools.core.described import Described
from flowtools.vizone.asset import RIGHTS
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL, PREFIXES


class AclEntry:
    """A line of an access control list: what a group or a user may do.

    Setting an attribute of a line that was taken from a list changes the list's document.

    Attributes:
        name: Name of the group or user.
        read: Whether it may read the asset, or its media.
        write: Whether it may change it.
        admin: Whether it may administer it.
    """

    name: str
    read: bool
    write: bool
    admin: bool

    def __init__(
        self, name: str = "", read: bool = False, write: bool = False, admin: bool = False
    ) -> None:
        element = etree.Element(f"{{{ACL}}}group", nsmap=PREFIXES)
        self._find: Callable[[bool], Element] = lambda changing: element
        self.name, self.read, self.write, self.admin = name, read, write, admin

    @classmethod
    def at(cls, find: Callable[[bool], Element]) -> "AclEntry":
        """Return a line that is part of a document.

        `find` returns its element; its argument says whether the element is going to be changed.
        """
        # Without __init__, which would set the attributes, and so change the document.
        made = cls.__new__(cls)
        object.__setattr__(made, "_find", find)
        return made

    @property
    def element(self) -> Element:
        """The element of the line."""
        return self._find(False)

    def __getattr__(self, name: str) -> Any:
        if name == "name":
            return self._find(False).get("name", "")
        if name in RIGHTS:
            return self._find(False).get(name, "").strip().lower() in ("1", "true")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Any other name is an error: it would be set here, and be missing in the document.
        if name == "_find":
            object.__setattr__(self, name, value)
        elif name == "name":
            self._find(True).set("name", value)
        elif name in RIGHTS:
            self._find(True).set(name, "1" if value else "0")
        else:
            raise AttributeError(f"a line of an access control list has no '{name}'")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AclEntry) and self._said() == other._said()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        rights = " ".join(each for each in RIGHTS if getattr(self, each))
        return f"<AclEntry {self.name!r} {rights}>"

    def _said(self) -> tuple[str, ...]:
        return self.name, *(str(getattr(self, each)) for each in RIGHTS)


class Acl(Described):
    """An access control list of an asset or of its media; a live part of the asset's document."""

    FACTS = ("groupentries",)

    def __init__(
        self,
        groupentries: Iterable[AclEntry] = (),
        *,
        entry: Callable[[], Element] | None = None,
        kind: str = "asset",
    ) -> None:
        """Make a list of its own; or, with `entry`, one that is part of an asset's entry.

        Args:
            groupentries: Lines to begin with.
            entry: Returns the element of the whole entry, which changes after a PUT.
            kind: "asset" or "media".
        """
        alone = etree.Element(f"{{{ACL}}}entry", nsmap=PREFIXES)
        self._entry = entry or (lambda: alone)
        self.kind = kind
        for each in groupentries:
            self.groupentries.append(each)

    @property
    def groupentries(self) -> "Lines":
        """The lines of groups; a change of the list or of a line changes the document."""
        return Lines(self, "group")

    @groupentries.setter
    def groupentries(self, entries: Iterable[AclEntry]) -> None:
        self.groupentries[:] = list(entries)

    @property
    def userentries(self) -> "Lines":
        """The lines of users, if there are any: none are seen in public traces."""
        return Lines(self, "user")

    @userentries.setter
    def userentries(self, entries: Iterable[AclEntry]) -> None:
        self.userentries[:] = list(entries)

    def set_group(self, name: str, rights: set[str]) -> bool:
        """Set the rights of a group, none for no line; return whether that changed anything."""
        lines = self.groupentries
        there = [each for each in lines if each.name == name]
        if not rights:
            lines[:] = [each for each in lines if each.name != name]
            return bool(there)
        line = there[0] if there else AclEntry(name)
        before = {right for right in RIGHTS if getattr(line, right)}
        for right in RIGHTS:
            setattr(line, right, right in rights)
        if not there:
            lines.append(line)
        return not there or before != rights

    def holder(self) -> Element | None:
        """Return the element that contains the lines; None if there is none."""
        return self._entry().find(f"{{{ACL}}}{self.kind}")

    def make_holder(self) -> Element:
        """Return the element that contains the lines; add it if there is none."""
        found = self.holder()
        return found if found is not None else etree.SubElement(self._entry(), self._tag())

    def _tag(self) -> str:
        return f"{{{ACL}}}{self.kind}"


class Lines(MutableSequence[AclEntry]):
    """The lines of one kind, of groups or of users, as a live list."""

    def __init__(self, acl: Acl, kind: str) -> None:
        self._acl = acl
        self._tag = f"{{{ACL}}}{kind}"

    @overload
    def __getitem__(self, index: int) -> AclEntry: ...

    @overload
    def __getitem__(self, index: slice) -> list[AclEntry]: ...

    def __getitem__(self, index: Any) -> Any:
        return [self._live(each) for each in self._elements()][index]

    def __len__(self) -> int:
        return len(self._elements())

    @overload
    def __setitem__(self, index: int, value: AclEntry) -> None: ...

    @overload
    def __setitem__(self, index: slice, value: Iterable[AclEntry]) -> None: ...

    def __setitem__(self, index: Any, value: Any) -> None:
        elements: list[Any] = list(self._elements())
        if isinstance(index, slice):
            elements[index] = [_checked(each) for each in value]
        else:
            elements[index] = _checked(value)
        self._write(elements)

    def __delitem__(self, index: Any) -> None:
        elements: list[Any] = list(self._elements())
        del elements[index]
        self._write(elements)

    def insert(self, index: int, value: AclEntry) -> None:
        """Insert a line before the place `index`."""
        elements: list[Any] = list(self._elements())
        elements.insert(index, _checked(value))
        self._write(elements)

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Lines) else other)

    def __repr__(self) -> str:
        return repr(list(self))

    def _elements(self) -> list[Element]:
        holder = self._acl.holder()
        return [] if holder is None else list(holder.iterchildren(self._tag))

    def _live(self, element: Element) -> AclEntry:
        line = element

        def find(changing: bool) -> Element:
            nonlocal line
            if line.getparent() is not self._acl.holder():
                # The document was parsed again after a PUT, or the line was removed from it: look
                # for it by its name. For reading, the last known rights are good enough; a change
                # must not be lost without an error.
                name = line.get("name", "")
                found = [each for each in self._elements() if each.get("name", "") == name]
                if changing and not found:
                    raise LookupError(f"the access control list has no line for '{name}' any more")
                line = next(iter(found), line)
            return line

        return AclEntry.at(find)

    def _write(self, lines: list[Element | AclEntry]) -> None:
        """Replace all lines of this kind in the document by `lines`."""
        if not lines and self._acl.holder() is None:
            return  # An empty list would be a change of the document, and a part of a PUT.
        holder = self._acl.make_holder()
        new = []
        for each in lines:
            element = each.element if isinstance(each, AclEntry) else each
            # A line of another list is copied: lxml would move its element out of that list.
            element = element if element.getparent() is holder else deepcopy(element)
            element.tag = self._tag
            new.append((each, element))
        for old in self._elements():
            holder.remove(old)
        for given, element in new:
            holder.append(element)
            if isinstance(given, AclEntry):
                # From now on the caller's object is a line of this list.
                object.__setattr__(given, "_find", self._live(element)._find)  # noqa: SLF001


def _checked(line: Any) -> AclEntry:
    if not isinstance(line, AclEntry):
        raise TypeError(f"expected an AclEntry, not {type(line).__name__}")
    return line
