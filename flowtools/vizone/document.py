"""XML from strangers: parsed without entities, networks, document types or surprises."""

from urllib.parse import urljoin, urlsplit

from lxml import etree

from flowtools.core.errors import ProtocolError

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes that a document may have."""

MAX_TAGS = 1_000_000
"""Tags, comments and the like that a document may have: each takes memory of its own."""

Element = etree._Element  # noqa: SLF001  its only name


def parse(content: bytes, *, name: str, base: str = "") -> Element:
    """Return the root of the XML document `content`.

    Args:
        content: The document.
        name: What to call it in an error.
        base: The URL that its relative links start from; default: the name.

    Raises:
        ProtocolError: It is no XML, has a document type, or is beyond MAX_DOCUMENT,
            MAX_TAGS or libxml2's limits of depth (256) and size.
    """
    if len(content) > MAX_DOCUMENT:
        raise ProtocolError(f"cannot read '{name}': larger than {MAX_DOCUMENT} bytes")
    if content.count(b"<") > MAX_TAGS:
        raise ProtocolError(f"cannot read '{name}': it has more than {MAX_TAGS} tags")
    # A parser each time: one that is shared makes threads wait for one another.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
    )
    try:
        root = etree.fromstring(content, parser, base_url=base or name)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = " ".join(str(error).split()) or "it is empty"
        raise ProtocolError(f"cannot read '{name}': not XML: {reason}") from None
    # Nothing that Viz One sends has one, and every trick with entities needs it.
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError(f"cannot read '{name}': it has a document type declaration")
    return root


def serialise(element: Element) -> bytes:
    """Return `element` as a document of its own, in UTF-8."""
    return etree.tostring(element, encoding="utf-8", xml_declaration=True, with_tail=False)


def as_text(element: Element) -> str:
    """Return `element` as text of its own, without a declaration."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def child(parent: Element, local: str, *namespaces: str) -> Element | None:
    """Return the first direct child called `local`: of the namespaces in order, else of any.

    Some elements of Viz One are known by their local name only.
    """
    for namespace in namespaces:
        found = parent.find(f"{{{namespace}}}{local}")
        if found is not None:
            return found
    return next(parent.iterchildren(f"{{*}}{local}"), None)


def text(element: Element | None) -> str | None:
    """Return what `element` says, without the space around it; None where that is nothing."""
    if element is None:
        return None
    return str(element.xpath("string()")).strip() or None


def address(element: Element, said: str | None) -> str | None:
    """Return `said` in `element` as an absolute address; None where it is empty or malformed."""
    said = (said or "").strip()
    if not said:
        return None
    try:
        url = urljoin(element.base or "", said)
        urlsplit(url)
    except ValueError:
        return None
    return url


def number(element: Element | None) -> int | None:
    """Return the whole number that `element` says; None where it says none."""
    return integer(text(element))


def integer(said: str | None) -> int | None:
    """Return the whole number that `said` is, if it is one of at most 18 digits."""
    if said is None or not (said.isascii() and said.isdigit()) or len(said) > 18:
        return None
    return int(said)
