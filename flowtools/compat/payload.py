"""Metadata by its old methods."""

from typing import Any

from lxml import etree

from flowtools.compat.answers import root_of
from flowtools.core.described import Described
from flowtools.vizone.document import serialise
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.metadata import Payload as Form


class Payload(Described):
    """Metadata: get, set, and how it is sent.

    Attributes:
        form: The same as flowtools.vizone has it.
        response_etag: The etag of the answer that it was read from; a PUT is conditional on
            it. None for one that was read from bytes or text.
    """

    content_type = PAYLOAD_TYPE

    def __init__(self, answer: Any) -> None:
        """Read the form in an answer, bytes or text.

        Raises:
            ProtocolError: It is not a metadata payload.
        """
        self.form = Form(root_of(answer, "the metadata"))
        self.response_etag: str | None = getattr(answer, "etag", None)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field, as text; `default` where it is unset."""
        found = self.form[name]
        return default if found is None else found

    def set(self, name: str, value: Any) -> None:
        """Set a field: text, a number, a date, or a term of a dictionary."""
        from flowtools.multiparser import as_text

        origin = getattr(value, "origin", None)
        self.form.set(name, as_text(value), origin if isinstance(origin, tuple) else None)

    def generate(self) -> bytes:
        """Return it as a document."""
        return serialise(self.form.element)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and _canonical(self) == _canonical(other)

    __hash__ = None  # type: ignore[assignment]


def _canonical(payload: Payload) -> bytes:
    return bytes(etree.tostring(payload.form.element, method="c14n"))
