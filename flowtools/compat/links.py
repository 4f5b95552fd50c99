"""Links of an entry, with the metadata that the server may have inlined into them (X-Inline)."""

from typing import TYPE_CHECKING

from lxml import etree

from flowtools.core.described import Described
from flowtools.vizone.document import Element, child, serialise
from flowtools.vizone.namespaces import ATOM, VDF

if TYPE_CHECKING:
    from flowtools.compat.payload import Payload

_INLINE = f"{{{ATOM}}}inline"


class Link(Described):
    """A link of an entry; a part of the entry's document.

    Attributes:
        href: Address that the link leads to; None if it has none, as an inlined link may.
    """

    FACTS = ("rel", "href")

    def __init__(self, href: str | None, element: Element | None = None) -> None:
        self.href = href
        self._element = element
        self._metadata: Payload | None = None

    @property
    def metadata(self) -> "Payload | None":
        """The inlined metadata; None if there is none.

        A Payload, or an answer with one, may be assigned; it is then part of the link. It is not
        sent with the entry: PUT it to the link itself.
        """
        from flowtools.compat.payload import Payload

        # Kept: a Payload that was changed must be the same one at the next access.
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
