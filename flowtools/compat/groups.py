"""Series, Program, Folder and their Members, by their old names."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flowtools.compat.document import Document
from flowtools.compat.feeds import FeedDocument
from flowtools.compat.links import Link
from flowtools.vizone.groups import ADD_LAST, Group, set_listed


class _Grouped(Document):
    """What has members; `down_link` leads to them."""

    @property
    def id(self) -> str | None:
        """Its site identity, or its atom:id."""
        return self.entry.identifier or self.entry.id

    @property
    def addmembers(self) -> "AddMembers":
        """The links that take new members."""
        return AddMembers(self)


class AddMembers:
    """Where members are added: a UriList of atom:ids is posted to `add_last_link`."""

    def __init__(self, owner: Document) -> None:
        self._owner = owner

    @property
    def add_last_link(self) -> Link | None:
        """Takes new members behind the others; None where there is no such link."""
        href = self._owner.entry.link(*ADD_LAST)
        return None if href is None else Link(href)


class Series(_Grouped):
    """A series."""

    NAME: ClassVar[str] = "the series"


class Program(_Grouped):
    """A program."""

    NAME: ClassVar[str] = "the program"


class Folder(_Grouped):
    """A folder."""

    NAME: ClassVar[str] = "the folder"


class ItemSet(_Grouped):
    """An aggregate: its `content` are the atom:ids of its members, in their order."""

    NAME: ClassVar[str] = "the item set"

    @property
    def content(self) -> tuple[str, ...]:
        """The ids; assign a sequence of them, and PUT it."""
        return tuple(Group(self._element).listed)

    @content.setter
    def content(self, ids: Sequence[str]) -> None:
        self._ensure_whole()
        set_listed(self._element, ids)


class Member(Document):
    """A member: what it stands for has the same atom:id; `delete_link` takes it out."""

    NAME: ClassVar[str] = "the member"

    def _link(self, rel: str) -> Link | None:
        # Not the next best link: that leads to the asset itself.
        href = self.entry.link(rel)
        return None if href is None else Link(href)


class Members(FeedDocument):
    """The members of a collection."""

    NAME: ClassVar[str] = "the members"
    ENTRY: ClassVar[Any] = Member

    @property
    def addmembers(self) -> AddMembers:
        """The links that take new members."""
        return AddMembers(self)
