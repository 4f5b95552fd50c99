"""Three documents of one entry: what was changed in a copy is changed in what is stored now.

An entry that a message carried may be older than what the server has. Writing it back whole
would undo what others have changed since. So the copy is compared with the entry as the
message carried it, part by part, and only the parts that differ are changed in the entry as
it is stored now. A part is a child of the entry; in an access control list, one line.
"""

from collections.abc import Iterator
from copy import deepcopy

from lxml import etree

from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ACL, ATOM

Key = tuple[str, ...]
"""Names a part: its tag, what tells it from its like, the list that it is a line of."""

_LISTS = (f"{{{ACL}}}asset", f"{{{ACL}}}media")
_TELLING = {
    f"{{{ATOM}}}link": ("rel", "type"),
    f"{{{ATOM}}}category": ("scheme", "term"),
}


class Collision(Exception):
    """The same part was changed in the copy and on the server, to different things."""


def rebase(base: Element, mine: Element, current: Element) -> Element:
    """Return `current` with what differs between `base` and `mine` changed in it, too.

    Raises:
        Collision: `current` has another change of the same part.
    """
    before, after, now = (dict(_parts(each)) for each in (base, mine, current))
    result = deepcopy(current)
    there = dict(_parts(result))
    for key in [*after, *(key for key in before if key not in after)]:
        old, new = plain(before.get(key)), plain(after.get(key))
        if old == new or plain(now.get(key)) == new:
            continue
        if plain(now.get(key)) != old:
            raise Collision(key[0].rpartition("}")[2])
        _put(result, there.get(key), after.get(key))
    return result


def _parts(entry: Element) -> Iterator[tuple[Key, Element]]:
    counts: dict[Key, int] = {}
    for child in entry.iterchildren("{*}*"):
        tag = str(child.tag)
        if tag in _LISTS:
            for line in child.iterchildren("{*}*"):
                yield (str(line.tag), line.get("name", ""), tag), line
            continue
        telling = _TELLING.get(tag, ("name",))
        key = (tag, *(child.get(name, "") for name in telling))
        counts[key] = counts.get(key, -1) + 1
        yield (*key, str(counts[key])), child


def plain(element: Element | None) -> object:
    """Return what tells two parts apart: neither their prefixes nor the space around them."""
    if element is None:
        return None
    inner = [(plain(each), (each.tail or "").strip()) for each in element.iterchildren("{*}*")]
    said = (element.text or "").strip()
    return str(element.tag), sorted(map(str, element.items())), said, inner


def _put(entry: Element, there: Element | None, part: Element | None) -> None:
    if there is not None:
        parent = there.getparent()
        assert parent is not None
        if part is None:
            parent.remove(there)
        else:
            parent.replace(there, deepcopy(part))
        return
    assert part is not None
    of = part.getparent()
    holder = entry
    if of is not None and str(of.tag) in _LISTS:
        found = entry.find(str(of.tag))
        holder = found if found is not None else etree.SubElement(entry, of.tag)
    holder.append(deepcopy(part))
