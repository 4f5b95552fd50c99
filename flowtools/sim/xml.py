"""How the stand-in writes XML: elements by namespace, in one of several dresses.

As on the real one the root declares the whole table of prefixes, used or not. Which
prefixes those are, and whether the root's own namespace has one at all, changes from one
document to the next, but not for the same document: nobody shall rely on prefixes.
"""

import random
from collections.abc import Mapping
from copy import copy
from zlib import crc32

from lxml import etree

from flowtools.vizone.document import Element, parse
from flowtools.vizone.document import serialise as plain
from flowtools.vizone.namespaces import PREFIXES


def root(namespace: str, name: str, /, **attributes: str) -> Element:
    """Return an element of its own."""
    return etree.Element(f"{{{namespace}}}{name}", attributes, nsmap=PREFIXES)


def add(
    parent: Element, namespace: str, name: str, said: str | None = None, /, **attributes: str
) -> Element:
    """Add a child to `parent`, with the text `said`; return it."""
    made = etree.SubElement(parent, f"{{{namespace}}}{name}", attributes)
    made.text = said
    return made


def link(parent: Element, rel: str, href: str, type: str | None = None) -> Element:
    """Add an atom:link to `parent`; return it."""
    given = {"rel": rel, "href": href} | ({"type": type} if type else {})
    return add(parent, PREFIXES["atom"], "link", None, **given)


def serialise(element: Element, seed: int = 0) -> bytes:
    """Return `element` as a document, in a dress that its content and `seed` choose."""
    usual = plain(element)
    dice = random.Random(crc32(usual) ^ seed)  # noqa: S311  repeatable, and no secret
    return plain(_dressed(element, _prefixes(element, dice)))


def redress(document: bytes) -> bytes:
    """Return `document` in some dress."""
    return serialise(parse(document, name="a document of our own"))


def _prefixes(element: Element, dice: random.Random) -> dict[str | None, str]:
    used = set(element.nsmap.values()) | set(PREFIXES.values())
    style = dice.choice(("usual", "shuffled", "default"))
    names = list(PREFIXES)
    if style == "shuffled":
        dice.shuffle(names)
    table: dict[str | None, str] = dict(zip(names, PREFIXES.values(), strict=True))
    own = str(etree.QName(element).namespace or "")
    if style == "default" and own:
        table = {name: uri for name, uri in table.items() if uri != own} | {None: own}
    others = sorted(uri for uri in used if uri not in table.values() and uri != _XML)
    return table | {f"x{index}": uri for index, uri in enumerate(others)}


_XML = "http://www.w3.org/XML/1998/namespace"


def _dressed(element: Element, prefixes: Mapping[str | None, str]) -> Element:
    made = etree.Element(element.tag, _attributes(element), nsmap=prefixes)  # type: ignore[arg-type]
    _fill(made, element)
    return made


def _fill(made: Element, source: Element) -> None:
    made.text = source.text
    for each in source:
        if isinstance(each.tag, str):
            new = etree.SubElement(made, each.tag, _attributes(each))
            _fill(new, each)
            new.tail = each.tail
        else:
            # A comment, or a processing instruction, which lxml-stubs do not know of.
            made.append(copy(each))  # type: ignore[unreachable]


def _attributes(element: Element) -> dict[str, str]:
    return {str(name): str(said) for name, said in element.items()}
