"""Series, seasons, programs and folders: ordered collections of assets and of other collections.

The `down` link of a collection leads to the feed of its members. A member is added by posting its
atom:id, in a uri-list, to the `add-last` link of that feed or of the collection. How a member is
removed is not public. The `delete` link of the member in that feed is used, and never its `edit` or
`self` link: these lead to the asset, so a DELETE there would delete the asset. An aggregate (item
set) has no such feed; its entry holds the ids of its members.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import URI_LIST, Entry
from flowtools.vizone.document import Element, check_text, child, text
from flowtools.vizone.namespaces import ATOM

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

Kind = Literal["series", "season", "program", "folder", "aggregate-asset"]
"""Keywords of the collections; no public trace shows the exact words."""

ADD_LAST = ("add-last", "addmembers-add-last", "addmembers", "add-members")
"""Possible relations of the link to which a new last member is posted."""


class Group(Entry):
    """A series, season, program, folder or aggregate."""

    @property
    def members_link(self) -> str | None:
        """Address of the feed of members; None for an aggregate, whose entry lists them."""
        return self.link("down")

    @property
    def listed(self) -> list[str]:
        """The atom:ids of an aggregate's members, in order; they are in the entry itself."""
        content = child(self.element, "content", ATOM)
        return (text(content) or "").split()


class Member(Entry):
    """An entry in the feed of a collection's members; `id` is the asset's or collection's own."""


class Groups(Described):
    """Operations on series, seasons, programs, folders and aggregates, as `client.groups`."""

    FACTS = ("_client",)

    def __init__(self, client: "AtomPub") -> None:
        self._client = client

    def find(self, kind: Kind) -> Iterator[Group]:
        """Yield all groups of one kind that the user may see.

        Raises:
            ProtocolError: The server has no collection for this kind.
        """
        for page in self._client.pages(self._client.collection(kind)):
            yield from (Group(each.element, each.etag) for each in page.entries)

    def get(self, url: str) -> Group:
        """Return the group at `url`, a `self` link.

        Raises:
            NotFoundError: There is no such group.
        """
        entry = self._client.entry(url)
        return Group(entry.element, entry.etag)

    def create(self, kind: Kind, title: str, identifier: str | None = None) -> Group:
        """Create a group and return it.

        If the answer is lost, the request is not repeated, because that could create a second one.
        """
        made = self._client.create(self._client.collection(kind), Entry.new(title, identifier))
        return Group(made.element, made.etag)

    def delete(self, group: Group, *, missing_ok: bool = True) -> None:
        """Delete the group; its members stay.

        Raises:
            NotFoundError: There is no such group any more, and `missing_ok` is false.
        """
        self._client.delete(group, missing_ok=missing_ok)

    def members(self, group: Group) -> Iterator[Member]:
        """Yield the members, in order.

        Raises:
            ProtocolError: The group has no feed of members.
        """
        for page in self._client.pages(group.follow("down")):
            yield from (Member(each.element, each.etag) for each in page.entries)

    def add(self, group: Group, ids: Sequence[str]) -> None:
        """Add the assets or groups with these atom:ids at the end, in this order.

        If the answer is lost, the request is not repeated, because the members may have been added:
        read the members to find out.

        Raises:
            ProtocolError: Neither the group nor its feed of members has a link for new members.
            ValueError: An id contains a line break.
        """
        if not ids:
            return
        url = group.link(*ADD_LAST)
        # No public trace shows which of the two has the link.
        if url is None:
            feed = self._client.feed(group.follow("down"))
            url = feed.link(*ADD_LAST)
        if url is None:
            raise ProtocolError(f"cannot add to '{group.id}': it has no link for a new member")
        self._client.request("POST", url, body=uri_list(ids), content_type=URI_LIST)

    def remove(self, group: Group, id: str) -> bool:
        """Remove the member with the atom:id `id`; return whether there was one.

        Raises:
            ProtocolError: The member has no `delete` link.
        """
        found = [each for each in self.members(group) if each.id == id]
        for member in found:
            url = member.link("delete")
            if url is None:
                # A DELETE to any other link would delete the asset itself.
                raise ProtocolError(
                    f"cannot remove '{id}' from '{group.id}': the member has no 'delete' link"
                )
            self._client.request("DELETE", url)
        return bool(found)

    def arrange(self, group: Group, ids: Sequence[str]) -> Group:
        """Make these the members of an aggregate, in this order; return the aggregate as stored.

        Raises:
            ConflictError: Somebody has changed it since it was read.
            ValueError: An id contains a line break, or a character that XML cannot hold.
        """
        set_listed(group.element, ids)
        entry = self._client.update(group)
        return Group(entry.element, entry.etag)


def set_listed(entry: Element, ids: Sequence[str]) -> None:
    """Write the atom:ids of an aggregate's members into its entry.

    Raises:
        ValueError: An id contains a line break, or a character that XML cannot hold.
    """
    listed = "\n".join(_lines(ids))
    check_text(listed)
    content = child(entry, "content", ATOM)
    if content is None:
        content = etree.SubElement(entry, f"{{{ATOM}}}content")
    content.set("type", URI_LIST)
    content.text = listed


def uri_list(uris: Sequence[str]) -> bytes:
    """Return addresses or ids as a text/uri-list (RFC 2483, section 5).

    Raises:
        ValueError: One of them contains a line break.
    """
    return "".join(f"{each}\n" for each in _lines(uris)).encode()


def _lines(uris: Sequence[str]) -> Sequence[str]:
    for each in uris:
        # It would become two members.
        if any(mark in each for mark in "\r\n"):
            raise ValueError(f"an address contains a line break: {each!r}")
    return uris
