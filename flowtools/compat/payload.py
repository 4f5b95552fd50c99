"""Payload: metadata (VDF) with its old methods."""

from typing import Any

from lxml import etree

from flowtools.compat.answers import root_of
from flowtools.core.described import Described
from flowtools.vizone.document import serialise
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.metadata import Payload as Form


class Payload(Described):
    """Metadata of an asset: the values of its fields.

    Two are equal if their documents are, whatever the order of attributes.

    Attributes:
        form: The Payload of flowtools.vizone.
        response_etag: Etag of the answer that it was read from, on which a PUT is conditional;
            None if it was read from bytes or text.
    """

    content_type = PAYLOAD_TYPE

    def __init__(self, answer: Any) -> None:
        """Read the metadata in an answer, a message, bytes or text.

        Raises:
            ProtocolError: The content is not a metadata payload.
        """
        self.form = Form(root_of(answer, "the metadata"))
        self.response_etag: str | None = getattr(answer, "etag", None)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field as text; `default` if the field is unset or missing."""
        found = self.form[name]
        return default if found is None else found

    def set(self, name: str, value: Any) -> None:
        """Set a field to text, a number, a date, or a Term of a dictionary."""
        from flowtools.multiparser import as_text

        # For a Term its address and id are written beside the value, as a Viz One does.
        origin = getattr(value, "origin", None)
        self.form.set(name, as_text(value), origin if isinstance(origin, tuple) else None)

    def generate(self) -> bytes:
        """Return the metadata as a document, in bytes."""
        return serialise(self.form.element)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and _canonical(self) == _canonical(other)

    __hash__ = None  # type: ignore[assignment]


def _canonical(payload: Payload) -> bytes:
    return bytes(etree.tostring(payload.form.element, method="c14n"))
