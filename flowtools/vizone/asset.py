"""An asset: reading and changing its entry.

An Asset is a view of the entry's XML. Setting an attribute changes that XML and nothing else;
`Assets.update` sends it. The entry also holds the permissions of each group, in acl:asset and
acl:media.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from lxml import etree

from flowtools.vizone.atom import Entry
from flowtools.vizone.document import Element, check_text, child, text
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.namespaces import ACL, ATOM, CORE, MAM, MEDIA, MEDIA_TYPE

RIGHTS = ("read", "write", "admin")
"""The rights that a group may have."""

_GROUP = f"{{{ACL}}}group"


class AtomCategory(NamedTuple):
    """A keyword of an asset.

    Attributes:
        scheme: URI of the vocabulary that the term belongs to; None without one.
        term: The keyword itself.
    """

    scheme: str | None
    term: str


class Asset(Entry):
    """An asset entry."""

    FACTS = ("id", "title", "status")

    @property
    def title(self) -> str | None:
        """The title, as plain text; assigning changes the entry, and Assets.update sends it."""
        return super().title

    @title.setter
    def title(self, title: str) -> None:
        check_text(title)
        element = child(self.element, "title", ATOM)
        if element is None:
            element = etree.SubElement(self.element, f"{{{ATOM}}}title")
        # The old title may have been html or xhtml (RFC 4287, 3.1.1); the new one is plain text.
        element.attrib.pop("type", "")
        del element[:]
        element.text = title

    @property
    def status(self) -> str | None:
        """State of the media: online, offline, importing, failed, new, empty or deleted."""
        return text(child(self.element, "mediastatus", MAM))

    @property
    def media(self) -> str | None:
        """Kind of the media, such as video or image; `placeholder` if there is no media yet."""
        return text(child(self.element, "media", MEDIA_TYPE))

    @property
    def identifiers(self) -> dict[str, str]:
        """The asset's identities by name: Ardome's own (`id`, ...), and the site's `identifier`."""
        found = {
            each.get("name", "id"): text(each) or ""
            for each in self.element.iterchildren(f"{{{CORE}}}ardomeIdentity")
        }
        if self.identifier:
            found["identifier"] = self.identifier
        return found

    @property
    def keywords(self) -> list[AtomCategory]:
        """Categories of the entry, in its order; assigning replaces all of them in the entry."""
        return [
            AtomCategory(each.get("scheme"), each.get("term", ""))
            for each in self.element.iterchildren(f"{{{ATOM}}}category")
            if each.get("term")
        ]

    @keywords.setter
    def keywords(self, keywords: Iterable[tuple[str | None, str]]) -> None:
        # Elements of keywords that stay are kept, with whatever else the server wrote into them.
        wanted = list(dict.fromkeys(AtomCategory(*each) for each in keywords))
        check_text(*(part for each in wanted for part in each if part is not None))
        for each in list(self.element.iterchildren(f"{{{ATOM}}}category")):
            keyword = AtomCategory(each.get("scheme"), each.get("term", ""))
            if keyword in wanted:
                wanted.remove(keyword)
            else:
                self.element.remove(each)
        for scheme, term in wanted:
            said = {"term": term} | ({} if scheme is None else {"scheme": scheme})
            etree.SubElement(self.element, f"{{{ATOM}}}category", said)

    @property
    def thumbnail(self) -> str | None:
        """Address of the thumbnail; None without one."""
        found = self.element.find(f"{{{MEDIA}}}thumbnail")
        return None if found is None else found.get("url")

    @property
    def content(self) -> str | None:
        """Address of the media; None without one."""
        found = self.element.find(f"{{{ATOM}}}content")
        return None if found is None else found.get("src")

    @property
    def payload(self) -> Payload | None:
        """The metadata that came with the entry, for reading only; None if it did not come.

        See Assets.get for how to ask for it, and Assets.metadata to change it.
        """
        found = self.inlined("describedby")
        return None if found is None else Payload(found, self.metadata_link)

    @property
    def metadata_link(self) -> str | None:
        """Address of the metadata; None if the asset has no metadata."""
        return self.link("describedby", type=PAYLOAD_TYPE)

    def permissions(self, kind: str = "asset") -> dict[str, frozenset[str]]:
        """Return the rights of each group, by its name: to the asset, or to its media.

        Args:
            kind: "asset" or "media".
        """
        return group_permissions(self.element, kind)

    def is_called(self, id: str) -> bool:
        """Return whether `id` is the asset's atom:id, site identity or number."""
        return id in (self.id, *self.identifiers.values())


def as_asset(entry: Entry) -> Asset:
    """Return an Asset for the XML of `entry`."""
    return Asset(entry.element, entry.etag)


def group_permissions(entry: Element, kind: str) -> dict[str, frozenset[str]]:
    """Return the rights of each group in the `kind` ("asset" or "media") list of `entry`."""
    return {
        each.get("name", ""): frozenset(
            right for right in RIGHTS if each.get(right, "").strip().lower() in ("1", "true")
        )
        for each in _groups(entry, kind)
    }


def set_group_permissions(
    entry: Element,
    group: str,
    asset_rights: Collection[str] | None,
    media_rights: Collection[str] | None,
) -> bool:
    """Set the rights of `group` in `entry` itself; those of other groups and users stay.

    Args:
        entry: The asset's entry.
        group: The group's name.
        asset_rights: Rights to the asset, words of RIGHTS. Empty: remove the group from the list.
            None: leave its rights as they are.
        media_rights: Rights to the media, in the same form.

    Returns:
        Whether the entry has changed.

    Raises:
        ValueError: A right is not in RIGHTS, or XML cannot hold the name. The entry is unchanged.
    """
    check_text(group)
    unknown = {*(asset_rights or ()), *(media_rights or ())} - set(RIGHTS)
    if unknown:
        raise ValueError(f"unknown right '{min(unknown)}': expected {', '.join(RIGHTS)}")
    before = etree.tostring(entry, method="c14n")
    for kind, rights in (("asset", asset_rights), ("media", media_rights)):
        if rights is not None:
            _set(entry, kind, group, rights)
    return etree.tostring(entry, method="c14n") != before


def _set(entry: Element, kind: str, group: str, rights: Collection[str]) -> None:
    # A group that is listed twice gets one line: two could contradict each other.
    present = [each for each in _groups(entry, kind) if each.get("name") == group]
    for each in present if not rights else present[1:]:
        parent = each.getparent()
        assert parent is not None
        parent.remove(each)
    if not rights:
        return
    line = present[0] if present else _new_group(entry, kind, group)
    for right in RIGHTS:
        line.set(right, "1" if right in rights else "0")


def _new_group(entry: Element, kind: str, group: str) -> Element:
    found = entry.find(f"{{{ACL}}}{kind}")
    parent = found if found is not None else etree.SubElement(entry, f"{{{ACL}}}{kind}")
    return etree.SubElement(parent, _GROUP, name=group)


def _groups(entry: Element, kind: str) -> Iterator[Element]:
    for each in entry.iterchildren(f"{{{ACL}}}{kind}"):
        yield from each.iterchildren(_GROUP)
