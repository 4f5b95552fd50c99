"""Access control lists of an asset: what each group may do with it, and with its media.

They stand in the entry, as acl:asset and acl:media, and are changed by putting the entry.
"""

from collections.abc import Collection, Iterator

from lxml import etree

from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL

RIGHTS = ("read", "write", "admin")
"""What a group may be allowed."""

_GROUP = f"{{{ACL}}}group"


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
