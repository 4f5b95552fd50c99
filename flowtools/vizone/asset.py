"""An asset: what its entry says, and what of it can be set."""

from collections.abc import Iterable
from typing import NamedTuple

from lxml import etree

from flowtools.vizone.acl import group_permissions
from flowtools.vizone.atom import Entry
from flowtools.vizone.document import child, text
from flowtools.vizone.metadata import PAYLOAD_TYPE, Payload
from flowtools.vizone.namespaces import ATOM, CORE, MAM, MEDIA, MEDIA_TYPE


class AtomCategory(NamedTuple):
    """A keyword of an asset: a term, of a scheme if it is of one."""

    scheme: str | None
    term: str


class Asset(Entry):
    """An asset entry."""

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
