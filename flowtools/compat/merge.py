"""Applies the changes of an entry's copy to the stored entry: a three-way merge.

An entry that came in a message may be older than the stored one. Writing it back whole would undo
what others have changed since. So three documents are compared part by part: the entry as the
message carried it (base), the copy that was changed (mine), and the stored entry (current). A part
that differs between base and mine is changed in current. If it differs between base and current
as well, and in another way, that is a Collision. A part is a child of the entry; in an access
control list it is one line, so that two programs can set the rights of two groups.
"""

from collections.abc import Iterator
from copy import deepcopy

from lxml import etree

from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL, ATOM

Key = tuple[str, ...]
"""Identifies a part: its tag, attributes that distinguish it from its siblings, and a count; or
for a line of a list: its tag, name, and list."""

_LISTS = (f"{{{ACL}}}asset", f"{{{ACL}}}media")
# Attributes that identify a part among its siblings; for other tags it is `name`.
_TELLING = {
    f"{{{ATOM}}}link": ("rel", "type"),
    f"{{{ATOM}}}category": ("scheme", "term"),
}


class Collision(Exception):
    """The same part was changed in the copy and on the server, and differently."""


def rebase(base: Element, mine: Element, current: Element) -> Element:
    """Return a copy of `current` with the changes from `base` to `mine`.

    Raises:
        Collision: `current` has a different change of the same part; its text is the part's name.
    """
    before, after, now = (dict(_parts(each)) for each in (base, mine, current))
    result = deepcopy(current)
    there = dict(_parts(result))
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = plain(before.get(key)), plain(after.get(key))
        # Unchanged here, or both sides made the same change.
        if old == new or plain(now.get(key)) == new:
            continue
        if plain(now.get(key)) != old:
            raise Collision(key[0].rpartition("}")[2])
        _put(result, there.get(key), after.get(key))
    return result


def _parts(entry: Element) -> Iterator[tuple[Key, Element]]:
    """Yield the parts of an entry with their keys."""
    counts: dict[Key, int] = {}
    for child in entry.iterchildren("{*}*"):
        tag = str(child.tag)
        if tag in _LISTS:
            for line in child.iterchildren("{*}*"):
                yield (str(line.tag), line.get("name", ""), tag), line
            continue
        telling = _TELLING.get(tag, ("name",))
        key = (tag, *(child.get(name, "") for name in telling))
        # Parts that look alike are told apart by their order.
        counts[key] = counts.get(key, -1) + 1
        yield (*key, str(counts[key])), child


def plain(element: Element | None) -> object:
    """Return a value that is equal for equal parts, whatever their prefixes and white space."""
    if element is None:
        return None
    inner = [(plain(each), (each.tail or "").strip()) for each in element.iterchildren("{*}*")]
    said = (element.text or "").strip()
    return str(element.tag), sorted(map(str, element.items())), said, inner


def _put(entry: Element, there: Element | None, part: Element | None) -> None:
    """Replace, remove or add a part: `there` is the present one, `part` the new one."""
    if there is not None:
        parent = there.getparent()
        assert parent is not None
        if part is None:
            parent.remove(there)
        else:
            parent.replace(there, deepcopy(part))
        return
    assert part is not None
    # A new line of an access control list goes into that list, which may be missing, too.
    of = part.getparent()
    holder = entry
    if of is not None and str(of.tag) in _LISTS:
        found = entry.find(str(of.tag))
        holder = found if found is not None else etree.SubElement(entry, of.tag)
    holder.append(deepcopy(part))
