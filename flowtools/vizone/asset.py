"""An asset: what its entry says, and what of it can be set.

Who may do what with it stands in the entry, too, as acl:asset and acl:media.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from lxml import etree

from flowtools.vizone.atom import Entry
from flowtools.vizone.document import Element, child, text
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.namespaces import ACL, ATOM, CORE, MAM, MEDIA, MEDIA_TYPE

RIGHTS = ("read", "write", "admin")
"""What a group may be allowed."""

_GROUP = f"{{{ACL}}}group"


class AtomCategory(NamedTuple):
    """A keyword of an asset: a term, of a scheme if it is of one."""

    scheme: str | None
    term: str


class Asset(Entry):
    """An asset entry."""

    SHOWN = ("id", "title", "status")

    @property
    def title(self) -> str | None:
        """The title, as plain text; what is assigned takes its place, see Assets.update."""
        return super().title

    @title.setter
    def title(self, title: str) -> None:
        element = child(self.element, "title", ATOM)
        if element is None:
            element = etree.SubElement(self.element, f"{{{ATOM}}}title")
        # It may have been of type html or xhtml (RFC 4287, 3.1.1); this is text.
        element.attrib.pop("type", "")
        del element[:]
        element.text = title

    @property
    def status(self) -> str | None:
        """The state of its media: online, offline, importing, failed, new, empty, deleted."""
        return text(child(self.element, "mediastatus", MAM))

    @property
    def media(self) -> str | None:
        """The kind of its media (video, image ...); `placeholder` where there is none yet."""
        return text(child(self.element, "media", MEDIA_TYPE))

    @property
    def identifiers(self) -> dict[str, str]:
        """Its identities by name: Ardome's own, and `identifier` for the site's."""
        found = {
            each.get("name", "id"): text(each) or ""
            for each in self.element.iterchildren(f"{{{CORE}}}ardomeIdentity")
        }
        if self.identifier:
            found["identifier"] = self.identifier
        return found

    @property
    def keywords(self) -> list[AtomCategory]:
        """Its categories, in their order; what is assigned takes their place."""
        return [
            AtomCategory(each.get("scheme"), each.get("term", ""))
            for each in self.element.iterchildren(f"{{{ATOM}}}category")
            if each.get("term")
        ]

    @keywords.setter
    def keywords(self, keywords: Iterable[tuple[str | None, str]]) -> None:
        wanted = list(dict.fromkeys(AtomCategory(*each) for each in keywords))
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
        """The address of its picture."""
        found = self.element.find(f"{{{MEDIA}}}thumbnail")
        return None if found is None else found.get("url")

    @property
    def content(self) -> str | None:
        """The address of its media."""
        found = self.element.find(f"{{{ATOM}}}content")
        return None if found is None else found.get("src")

    @property
    def payload(self) -> Payload | None:
        """The metadata that came with the entry, to read; see Assets.get and metadata."""
        found = self.inlined("describedby")
        return None if found is None else Payload(found, self.metadata_link)

    @property
    def metadata_link(self) -> str | None:
        """Where its metadata is; None where it has none."""
        return self.link("describedby", type=PAYLOAD_TYPE)

    def permissions(self, kind: str = "asset") -> dict[str, frozenset[str]]:
        """Return the rights of each group to the asset, or to its media (kind "media")."""
        return group_permissions(self.element, kind)

    def is_called(self, id: str) -> bool:
        """Return whether `id` is its atom:id, its site identity or its number."""
        return id in (self.id, *self.identifiers.values())


def as_asset(entry: Entry) -> Asset:
    """Return `entry` seen as an asset."""
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
    """Set what `group` may do, in `entry` itself; every other group and user stays.

    Args:
        entry: The asset's entry.
        group: The group's name.
        asset_rights: Words of RIGHTS; empty: the group's line goes; None: as it is.
        media_rights: The same for the media.

    Returns:
        Whether anything has changed.

    Raises:
        ValueError: A right has another name.
    """
    before = etree.tostring(entry, method="c14n")
    for kind, rights in (("asset", asset_rights), ("media", media_rights)):
        if rights is not None:
            _set(entry, kind, group, rights)
    return etree.tostring(entry, method="c14n") != before


def _set(entry: Element, kind: str, group: str, rights: Collection[str]) -> None:
    unknown = set(rights) - set(RIGHTS)
    if unknown:
        raise ValueError(f"no right is called '{min(unknown)}': expected {RIGHTS}")
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
