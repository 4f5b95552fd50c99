"""Access control lists by their old names: an Acl, and its lines, which are live."""

from collections.abc import Callable, Iterable, MutableSequence
from copy import deepcopy
from typing import Any, overload

from lxml import etree

from flowtools.core.described import Described
from flowtools.vizone.asset import RIGHTS
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL, PREFIXES


class AclEntry:
    """A line of an access control list: what a group, or a user, may do.

    A line that was taken from a list is part of it: what is set is set in the document.

    Attributes:
        name: The group's or user's name.
        read, write, admin: Whether it may.
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
        """Return the line that `find` finds in its document; it is told whether to change it."""
        made = cls.__new__(cls)
        object.__setattr__(made, "_find", find)
        return made

    @property
    def element(self) -> Element:
        """Its element."""
        return self._find(False)

    def __getattr__(self, name: str) -> Any:
        if name == "name":
            return self._find(False).get("name", "")
        if name in RIGHTS:
            return self._find(False).get(name, "").strip().lower() in ("1", "true")
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
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
    """Who may do what with an asset, or with its media; a part of the asset's document."""

    FACTS = ("groupentries",)

    def __init__(
        self,
        groupentries: Iterable[AclEntry] = (),
        *,
        entry: Callable[[], Element] | None = None,
        kind: str = "asset",
    ) -> None:
        """Make a list of its own; or, with `entry` and `kind`, one that is part of an entry.

        `entry` gives the element of the whole entry.
        """
        alone = etree.Element(f"{{{ACL}}}entry", nsmap=PREFIXES)
        self._entry = entry or (lambda: alone)
        self.kind = kind
        for each in groupentries:
            self.groupentries.append(each)

    @property
    def groupentries(self) -> "Lines":
        """A line for each group; what is changed in it is changed in the document."""
        return Lines(self, "group")

    @groupentries.setter
    def groupentries(self, entries: Iterable[AclEntry]) -> None:
        self.groupentries[:] = list(entries)

    @property
    def userentries(self) -> "Lines":
        """A line for each user, where there are such: no public trace shows them."""
        return Lines(self, "user")

    @userentries.setter
    def userentries(self, entries: Iterable[AclEntry]) -> None:
        self.userentries[:] = list(entries)

    def set_group(self, name: str, rights: set[str]) -> bool:
        """Set what a group may do; return whether that is a change."""
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
        """Return the element that has the lines, if there is one."""
        return self._entry().find(f"{{{ACL}}}{self.kind}")

    def make_holder(self) -> Element:
        """Return the element that has the lines, made if need be."""
        found = self.holder()
        return found if found is not None else etree.SubElement(self._entry(), self._tag())

    def _tag(self) -> str:
        return f"{{{ACL}}}{self.kind}"


class Lines(MutableSequence[AclEntry]):
    """The lines of one kind in an access control list; live."""

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
        """Put a line before the place `index`."""
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
                # The document has been read afresh, or the line was taken out of it.
                name = line.get("name", "")
                found = [each for each in self._elements() if each.get("name", "") == name]
                if changing and not found:
                    raise LookupError(f"the access control list has no line for '{name}' any more")
                line = next(iter(found), line)
            return line

        return AclEntry.at(find)

    def _write(self, lines: list[Element | AclEntry]) -> None:
        """Let the document have these lines and no others of their kind."""
        holder = self._acl.make_holder()
        new = []
        for each in lines:
            element = each.element if isinstance(each, AclEntry) else each
            element = element if element.getparent() is holder else deepcopy(element)
            element.tag = self._tag
            new.append((each, element))
        for old in self._elements():
            holder.remove(old)
        for given, element in new:
            holder.append(element)
            if isinstance(given, AclEntry):
                # It is a line of this list from now on.
                object.__setattr__(given, "_find", self._live(element)._find)  # noqa: SLF001


def _checked(line: Any) -> AclEntry:
    if not isinstance(line, AclEntry):
        raise TypeError(f"expected an AclEntry, not {type(line).__name__}")
    return line
