"""Links of an entry, each with what the server has put into it."""

from typing import TYPE_CHECKING

from lxml import etree

from flowtools.core.described import Described
from flowtools.vizone.document import Element, child, serialise
from flowtools.vizone.namespaces import ATOM, VDF

if TYPE_CHECKING:
    from flowtools.compat.payload import Payload

_INLINE = f"{{{ATOM}}}inline"


class Link(Described):
    """A link of an entry; it is part of the entry's document.

    Attributes:
        href: The address that it leads to; None where it has none, as an inlined link may.
    """

    FACTS = ("rel", "href")

    def __init__(self, href: str | None, element: Element | None = None) -> None:
        self.href = href
        self._element = element
        self._metadata: Payload | None = None

    @property
    def metadata(self) -> "Payload | None":
        """The metadata that stands in the link, to read; None where there is none.

        What is assigned (a Payload, or an answer that has one) stands in the link from then
        on. It is written by a PUT to the link itself, not by one of the entry.
        """
        from flowtools.compat.payload import Payload

        if self._metadata is None and self._element is not None:
            inline = child(self._element, "inline", ATOM)
            inner = None if inline is None else next(inline.iterchildren("{*}*"), None)
            if inner is not None and inner.tag == f"{{{VDF}}}payload":
                self._metadata = Payload(serialise(inner))
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: object) -> None:
        from flowtools.compat.payload import Payload

        taken = metadata if isinstance(metadata, Payload) else Payload(metadata)
        self._metadata = taken
        if self._element is not None:
            for each in list(self._element):
                self._element.remove(each)
            etree.SubElement(self._element, _INLINE).append(taken.form.element)
