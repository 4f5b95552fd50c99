"""Builds and writes XML documents, with namespace prefixes that change between documents.

As on a Viz One the root declares the whole table of prefixes, used or not. `serialise` varies
them: the usual prefixes, the same prefixes for other namespaces, or no prefix for the namespace of
the root. A client that relies on prefixes fails. The choice depends on the content alone, so that
a document which has not changed is the same byte for byte.
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
    """Return a new element that is the root of a document."""
    return etree.Element(f"{{{namespace}}}{name}", attributes, nsmap=PREFIXES)


def add(
    parent: Element, namespace: str, name: str, said: str | None = None, /, **attributes: str
) -> Element:
    """Add a child with the text `said` to `parent`; return the child."""
    made = etree.SubElement(parent, f"{{{namespace}}}{name}", attributes)
    made.text = said
    return made


def link(parent: Element, rel: str, href: str, type: str | None = None) -> Element:
    """Add an atom:link to `parent`; return the link."""
    given = {"rel": rel, "href": href} | ({"type": type} if type else {})
    return add(parent, PREFIXES["atom"], "link", None, **given)


def serialise(element: Element, seed: int = 0) -> bytes:
    """Return `element` as a document; its content and `seed` decide on the prefixes."""
    usual = plain(element)
    dice = random.Random(crc32(usual) ^ seed)  # noqa: S311  repeatable, and no secret
    return plain(_dressed(element, _prefixes(element, dice)))


def redress(document: bytes) -> bytes:
    """Return `document` with other prefixes; its content decides which."""
    return serialise(parse(document, name="a document of our own"))


def _prefixes(element: Element, dice: random.Random) -> dict[str | None, str]:
    # A client may have sent namespaces that are not in the table: they must be declared, too.
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


# Bound to the prefix "xml" by definition; XML forbids declaring another prefix for it.
_XML = "http://www.w3.org/XML/1998/namespace"


def _dressed(element: Element, prefixes: Mapping[str | None, str]) -> Element:
    # A copy of the whole tree: lxml cannot change the prefixes of an existing element.
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
            # A comment or a processing instruction; lxml-stubs do not know that these occur.
            made.append(copy(each))  # type: ignore[unreachable]


def _attributes(element: Element) -> dict[str, str]:
    return {str(name): str(said) for name, said in element.items()}
