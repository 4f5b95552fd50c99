"""Series, programs and folders: collections of assets and of one another, with an order.

A collection has a feed of its members behind its `down` link. A member is added by posting its
atom:id, in a uri-list, to the `add-last` link of that feed or of the collection. How a member is
taken out, or moved, is not public: a member's own `delete` link in that feed is used, and never
its `edit` or `self`, which lead to the asset itself. An aggregate (item set) keeps the ids of
its members in its entry.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import ENTRY_TYPE, URI_LIST, Entry, as_entry
from flowtools.vizone.document import Element, child, parse, text
from flowtools.vizone.namespaces import ATOM, DCTERMS

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

Kind = Literal["series", "season", "program", "folder", "aggregate-asset"]
"""The keywords of the collections; no public trace shows the exact words."""

ADD_LAST = ("add-last", "addmembers-add-last", "addmembers", "add-members")
"""What the link may be called that takes a new last member."""


class Group(Entry):
    """A series, season, program, folder or aggregate."""

    @property
    def members_link(self) -> str | None:
        """Where the feed of its members is; None for an aggregate, which has them in it."""
        return self.link("down")

    @property
    def listed(self) -> list[str]:
        """The ids in the entry itself, in their order: the members of an aggregate."""
        content = child(self.element, "content", ATOM)
        return (text(content) or "").split()


class Member(Entry):
    """An entry in the feed of a collection's members; `id` is that of what it stands for."""


class Groups(Described):
    """What can be done with series, programs, folders and aggregates; `client.groups`."""

    FACTS = ("_client",)

    def __init__(self, client: "AtomPub") -> None:
        self._client = client

    def find(self, kind: Kind) -> Iterator[Group]:
        """Yield all of one kind that the user may see.

        Raises:
            ProtocolError: The server has no such collection.
        """
        for page in self._client.pages(self._client.collection(kind)):
            yield from (Group(each.element, each.etag) for each in page.entries)

    def get(self, url: str) -> Group:
        """Return the one at `url`, a `self` link.

        Raises:
            NotFoundError: There is none.
        """
        entry = self._client.entry(url)
        return Group(entry.element, entry.etag)

    def create(self, kind: Kind, title: str, identifier: str | None = None) -> Group:
        """Make one; the request is not repeated where its answer is lost."""
        element = etree.Element(f"{{{ATOM}}}entry", nsmap={"atom": ATOM, "dcterms": DCTERMS})
        etree.SubElement(element, f"{{{ATOM}}}title").text = title
        if identifier is not None:
            etree.SubElement(element, f"{{{DCTERMS}}}identifier").text = identifier
        made = self._client.create(self._client.collection(kind), Entry(element))
        return Group(made.element, made.etag)

    def delete(self, group: Group, *, missing_ok: bool = True) -> None:
        """Delete the collection; its members stay.

        Raises:
            NotFoundError: It is gone already, and `missing_ok` is false.
        """
        self._client.delete(group, missing_ok=missing_ok)

    def members(self, group: Group) -> Iterator[Member]:
        """Yield the members, in their order.

        Raises:
            ProtocolError: It has no feed of members.
        """
        for page in self._client.pages(group.follow("down")):
            yield from (Member(each.element, each.etag) for each in page.entries)

    def add(self, group: Group, ids: Sequence[str]) -> None:
        """Add what has these atom:ids at the end, in this order.

        The request is not repeated where its answer is lost: look at the members to see.

        Raises:
            ProtocolError: Neither it nor its feed of members has a link for that.
        """
        if not ids:
            return
        url = group.link(*ADD_LAST)
        if url is None:
            feed = self._client.feed(group.follow("down"))
            url = feed.link(*ADD_LAST)
        if url is None:
            raise ProtocolError(f"cannot add to '{group.id}': it has no link for a new member")
        self._client.request("POST", url, body=uri_list(ids), content_type=URI_LIST)

    def remove(self, group: Group, id: str) -> bool:
        """Take the member with the atom:id `id` out; return whether it was one.

        Raises:
            ProtocolError: The member has no link for that.
        """
        found = [each for each in self.members(group) if each.id == id]
        for member in found:
            url = member.link("delete")
            if url is None:
                # Its other links lead to the asset itself.
                raise ProtocolError(f"cannot take '{id}' out of '{group.id}': no 'delete' link")
            self._client.request("DELETE", url)
        return bool(found)

    def arrange(self, group: Group, ids: Sequence[str]) -> Group:
        """Let an aggregate have these members, in this order; return what is stored.

        Raises:
            ConflictError: It has changed since it was read.
        """
        set_listed(group.element, ids)
        answer = self._client.request(
            "PUT",
            group.follow("edit", "self"),
            body=etree.tostring(group.element, encoding="utf-8", xml_declaration=True),
            content_type=ENTRY_TYPE,
            etag=group.etag,
        )
        if not answer.content.strip():
            return self.get(group.follow("self", "edit"))
        entry = as_entry(parse(answer.content, name=answer.url), answer.url, answer.etag)
        return Group(entry.element, entry.etag)


def set_listed(entry: Element, ids: Sequence[str]) -> None:
    """Write the ids of an aggregate's members into its entry."""
    content = child(entry, "content", ATOM)
    if content is None:
        content = etree.SubElement(entry, f"{{{ATOM}}}content")
    content.set("type", URI_LIST)
    content.text = "\n".join(ids)


def uri_list(uris: Sequence[str]) -> bytes:
    """Return addresses or ids as a text/uri-list (RFC 2483, section 5).

    Raises:
        ValueError: One has a line end in it.
    """
    for each in uris:
        if any(mark in each for mark in "\r\n"):
            raise ValueError("an address has a line end in it")
    return "".join(f"{each}\n" for each in uris).encode()
