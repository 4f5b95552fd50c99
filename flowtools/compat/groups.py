"""Series, programs, folders, item sets and their members, by their old names."""

from collections.abc import Sequence
from typing import Any, ClassVar

from flowtools.compat.document import Document
from flowtools.compat.feeds import FeedDocument
from flowtools.compat.links import Link
from flowtools.vizone.groups import ADD_LAST, Group, set_listed


class _Grouped(Document):
    """A collection with members; `down_link` leads to them."""

    @property
    def id(self) -> str | None:
        """The site identity; if there is none, the atom:id."""
        return self.entry.identifier or self.entry.id

    @property
    def addmembers(self) -> "AddMembers":
        """The links to which new members are posted."""
        return AddMembers(self)


class AddMembers:
    """Where members are added: old code posts a UriList of atom:ids to `add_last_link`."""

    def __init__(self, owner: Document) -> None:
        self._owner = owner

    @property
    def add_last_link(self) -> Link | None:
        """The link that appends members; None if the server shows none."""
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
    """An item set (aggregate asset): `content` has the atom:ids of its members, in order."""

    NAME: ClassVar[str] = "the item set"

    @property
    def content(self) -> tuple[str, ...]:
        """The ids. To change the members, assign a sequence of ids and PUT the item set."""
        return tuple(Group(self._element).listed)

    @content.setter
    def content(self, ids: Sequence[str]) -> None:
        self._ensure_whole()
        set_listed(self._element, ids)


class Member(Document):
    """A member. It has the atom:id of what it refers to; `delete_link` removes it."""

    NAME: ClassVar[str] = "the member"

    def _link(self, rel: str) -> Link | None:
        # Without the next best link for "delete", unlike other entries: it would lead to the asset
        # itself, and a DELETE would delete the asset instead of the membership.
        href = self.entry.link(rel)
        return None if href is None else Link(href)


class Members(FeedDocument):
    """One page of members of a collection."""

    NAME: ClassVar[str] = "the members"
    ENTRY: ClassVar[Any] = Member

    @property
    def addmembers(self) -> AddMembers:
        """The links to which new members are posted."""
        return AddMembers(self)
