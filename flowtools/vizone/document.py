"""XML from a server, parsed so that a hostile document does no harm.

No entity is resolved, no file and no address is opened, and a document type is refused. A document
has limits for its bytes and its tags, because both are allocated before anything looks at them.
"""

import codecs
import re
from email.message import Message
from urllib.parse import urljoin, urlsplit

from lxml import etree

from flowtools.core.errors import ProtocolError

MAX_DOCUMENT = 16 * 1024 * 1024
"""Maximum size of a document, in bytes."""

MAX_TAGS = 1_000_000
"""Maximum number of tags and comments in a document. Each of them takes far more memory than its
bytes do."""

_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
"""Byte order marks of the encodings that XML may have."""

_PAGE = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.{0,4096}?-->\s*)*<(?:!doctype\s+)?html[\s>]",
    re.IGNORECASE | re.DOTALL,
)
"""The beginning of a web page, HTML or XHTML."""

Element = etree._Element  # noqa: SLF001  its only name


def parse(content: bytes, *, name: str, base: str = "", media_type: str | None = None) -> Element:
    """Return the root of the XML document `content`.

    Args:
        content: The document.
        name: The document's name in error messages.
        base: The URL that its relative links start from; default: `name`.
        media_type: The Content-Type header. Its charset takes precedence over the encoding that
            the document declares, and a byte order mark over both (RFC 7303, section 3).

    Raises:
        ProtocolError: The document is not XML, has a document type, or exceeds MAX_DOCUMENT,
            MAX_TAGS, or libxml2's limits of depth (256) and size.
    """
    if len(content) > MAX_DOCUMENT:
        raise ProtocolError(f"cannot read '{name}': larger than {MAX_DOCUMENT} bytes")
    if content.count(b"<") > MAX_TAGS:
        raise ProtocolError(f"cannot read '{name}': it has more than {MAX_TAGS} tags")
    # A new parser for each document: threads that share a parser wait for one another.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        encoding=None if content.startswith(_MARKS) else _charset(media_type),
    )
    # An XHTML page is XML, too, and any other page gives a syntax error that helps nobody.
    if _PAGE.match(content):
        raise ProtocolError(
            f"cannot read '{name}': the answer is a web page instead of XML; is there a proxy or a"
            " login page in front of the server?"
        )
    try:
        root = etree.fromstring(content, parser, base_url=base or name)
    except (etree.XMLSyntaxError, ValueError) as error:
        reason = " ".join(str(error).split()) or "it is empty"
        raise ProtocolError(f"cannot read '{name}': not XML: {reason}") from None
    # No document of Viz One has one, and attacks with entities need one.
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError(f"cannot read '{name}': it has a document type declaration")
    return root


def _charset(media_type: str | None) -> str | None:
    """Return the charset that a Content-Type names; None if it names none, or an unknown one."""
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
    """Return `element` as XML text, without an XML declaration."""
    return etree.tostring(element, encoding="unicode", with_tail=False)


def child(parent: Element, local: str, *namespaces: str) -> Element | None:
    """Return the first direct child called `local`; None if there is none.

    The namespaces are tried in the given order, and then any namespace: for some elements of Viz
    One only the local name is public.
    """
    for namespace in namespaces:
        found = parent.find(f"{{{namespace}}}{local}")
        if found is not None:
            return found
    return next(parent.iterchildren(f"{{*}}{local}"), None)


def text(element: Element | None) -> str | None:
    """Return the text of `element` and its descendants, stripped; None if it is empty."""
    if element is None:
        return None
    return str(element.xpath("string()")).strip() or None


def check_text(*texts: str) -> None:
    """Do nothing if XML can hold the texts; called before a change, so that none is half made.

    Raises:
        ValueError: A text has a character that XML cannot hold, such as NUL.
    """
    for each in texts:
        etree.Element("text").text = each


def address(element: Element, said: str | None) -> str | None:
    """Return the address `said`, found in `element`, as an absolute one; None if it is malformed.

    An empty address means the document itself (RFC 3986, section 4.4).
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
    """Return the text of `element` as a whole number; None if it is not one."""
    return integer(text(element))


def integer(said: str | None) -> int | None:
    """Return the text `said` as a whole number; None unless it is 1 to 18 decimal digits."""
    if said is None or not (said.isascii() and said.isdigit()) or len(said) > 18:
        return None
    return int(said)
