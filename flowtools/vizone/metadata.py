"""A VDF payload: the metadata of an asset, read and changed in place.

Only what is set is touched. Unknown elements, other fields and their order stay as the
server sent them.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import VDF

PAYLOAD_TYPE = "application/vnd.vizrt.payload+xml"

_FIELD = f"{{{VDF}}}field"
_VALUE = f"{{{VDF}}}value"
_LIST = f"{{{VDF}}}list"
_PAYLOAD = f"{{{VDF}}}payload"
_ORIGIN = f"{{{VDF}}}origin"


class Payload(Described):
    """The fields of a form, by name; `payload["asset.title"]` is text, or None if unset.

    Attributes:
        element: The payload element.
        url: Where it was read and is to be written; None for a row of a table.
        etag: The etag it was read with, verbatim.
    """

    FACTS = ("url", "model", "etag")

    def __init__(self, element: Element, url: str | None = None, etag: str | None = None) -> None:
        """Wrap `element`.

        Raises:
            ProtocolError: It is no payload.
        """
        if element.tag != _PAYLOAD:
            name = str(element.tag).rsplit("}", 1)[-1]
            raise ProtocolError(f"cannot read '{url}': expected a metadata payload, found '{name}'")
        self.element = element
        self.url = url
        self.etag = etag

    @property
    def model(self) -> str | None:
        """The address of the form."""
        return self.element.get("model")

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the fields, set or not, in their order."""
        return (each.get("name", "") for each in self.element.iterchildren(_FIELD))

    def __contains__(self, name: object) -> bool:
        return any(each == name for each in self)

    def __getitem__(self, name: str) -> str | None:
        field = self._field(name)
        value = None if field is None else field.find(_VALUE)
        if value is None or value.find(_LIST) is not None:
            return None
        return str(value.xpath("string()")) or None

    def __setitem__(self, name: str, value: str | None) -> None:
        self.set(name, value)

    def set(self, name: str, value: str | None, origin: tuple[str, str] | None = None) -> bool:
        """Set the field `name`, adding it at the end if it is missing; None unsets it.

        The origin (the dictionary entry that the old value came from) goes when the value
        changes, unless `origin`, the (href, id) of the new one, is given.

        Returns:
            Whether anything has changed.

        Raises:
            ValueError: The field holds a table, or `value` has characters that XML has not.
        """
        field = self._field(name)
        if field is not None and _rows(field):
            raise ValueError(f"field '{name}' is a table")
        if self[name] == (value or None) and (origin is None or _origin(field) == origin):
            return False
        if field is None:
            field = etree.SubElement(self.element, _FIELD, name=name)
        _write(field, value)
        if origin is not None:
            etree.SubElement(field, _ORIGIN, href=origin[0], id=origin[1])
        return True

    def origin(self, name: str) -> tuple[str, str] | None:
        """Return (href, id) of the dictionary entry that the field's value is, if any."""
        return _origin(self._field(name))

    def rows(self, name: str) -> list["Payload"]:
        """Return the rows of the table `name`, each a payload to read and set."""
        field = self._field(name)
        return [] if field is None else [Payload(each, self.url) for each in _rows(field)]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name: text, None if unset, a list of such objects for a table."""
        return {name: [row.as_dict() for row in self.rows(name)] or self[name] for name in self}

    def _field(self, name: str) -> Element | None:
        return next(
            (each for each in self.element.iterchildren(_FIELD) if each.get("name") == name), None
        )


def _rows(field: Element) -> list[Element]:
    # The list stands in the field; an older form has it in the field's value.
    lists = [*field.iterchildren(_LIST)]
    lists += [each for value in field.iterchildren(_VALUE) for each in value.iterchildren(_LIST)]
    return [row for each in lists for row in each.iterchildren(_PAYLOAD)]


def _origin(field: Element | None) -> tuple[str, str] | None:
    origin = None if field is None else field.find(_ORIGIN)
    return None if origin is None else (origin.get("href", ""), origin.get("id", ""))


def _write(field: Element, value: str | None) -> None:
    values = field.findall(_VALUE)
    for each in [*field.findall(_ORIGIN), *(values if not value else values[1:])]:
        field.remove(each)
    if not value:
        return
    if values:
        for each in list(values[0]):
            values[0].remove(each)
        values[0].text = value
        return
    new = etree.Element(_VALUE)
    new.text = value
    field.insert(0, new)
