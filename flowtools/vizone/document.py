"""XML from strangers: parsed without entities, networks, document types or surprises."""

import codecs
import re
from email.message import Message
from urllib.parse import urljoin, urlsplit

from lxml import etree

from flowtools.core.errors import ProtocolError

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes that a document may have."""

MAX_TAGS = 1_000_000
"""Tags, comments and the like that a document may have: each takes memory of its own."""

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
"""Byte order marks."""

_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4096}?-->\s*)*<(?:!doctype\s+)?html[\s>]",
    re.IGNORECASE | re.DOTALL,
)
"""How a page for people begins, as XHTML or not."""

Element = etree._Element  # noqa: SLF001  its only name


def parse(content: bytes, *, name: str, base: str = "", media_type: str | None = None) -> Element:
    """Return the root of the XML document `content`.

    Args:
        content: The document.
        name: What to call it in an error.
        base: The URL that its relative links start from; default: the name.
        media_type: Its Content-Type: a charset there wins over the one that the document
            declares, and a byte order mark over both (RFC 7303, 3).

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
        encoding=None if content.startswith(_MARKS) else _charset(media_type),
    )
    if _PAGE.match(content):
        raise ProtocolError(
            f"cannot read '{name}': a web page came instead of XML: is a proxy or a login page in"
            " front?"
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


def _charset(media_type: str | None) -> str | None:
    """Return the charset that a Content-Type names, if it is one that there is."""
    message = Message()
    message["Content-Type"] = media_type or ""
    said = message.get_param("charset")
    if not isinstance(said, str):
        return None
    try:
        return codecs.lookup(said).name
    except (LookupError, ValueError):
        return None


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
    """Return `said` in `element` as an absolute address; None where it is malformed.

    An empty address is that of the document itself (RFC 3986, 4.4).
    """
    if said is None:
        return None
    try:
        url = urljoin(element.base or "", said.strip())
        urlsplit(url)
    except ValueError:
        return None
    return url or None


def number(element: Element | None) -> int | None:
    """Return the whole number that `element` says; None where it says none."""
    return integer(text(element))


def integer(said: str | None) -> int | None:
    """Return the whole number that `said` is, if it is one of at most 18 digits."""
    if said is None or not (said.isascii() and said.isdigit()) or len(said) > 18:
        return None
    return int(said)
