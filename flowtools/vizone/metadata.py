"""A VDF payload: the metadata of an asset, read and changed in place.

Only a field that is set is changed. Unknown elements, all other fields and their order stay as the
server sent them.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.document import Element, check_text
from flowtools.vizone.namespaces import VDF

PAYLOAD_TYPE = "application/vnd.vizrt.payload+xml"

_FIELD = f"{{{VDF}}}field"
_VALUE = f"{{{VDF}}}value"
_LIST = f"{{{VDF}}}list"
_PAYLOAD = f"{{{VDF}}}payload"
_ORIGIN = f"{{{VDF}}}origin"


class Payload(Described):
    """The fields of a metadata form, by name; `payload["asset.title"]` is text, or None if unset.

    Attributes:
        element: The payload element.
        url: Address that the payload was read from and is written to; None if it has none.
        etag: ETag of that answer, verbatim; None for an embedded payload or a row of a table.
    """

    FACTS = ("url", "model", "etag")

    def __init__(self, element: Element, url: str | None = None, etag: str | None = None) -> None:
        """Make a view of `element`.

        Raises:
            ProtocolError: The element is not a metadata payload.
        """
        if element.tag != _PAYLOAD:
            name = str(element.tag).rsplit("}", 1)[-1]
            raise ProtocolError(f"cannot read '{url}': expected a metadata payload, found '{name}'")
        self.element = element
        self.url = url
        self.etag = etag

    @property
    def model(self) -> str | None:
        """Address of the form's model, as the payload names it; see Models.fields."""
        return self.element.get("model")

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all fields, set or not, in document order."""
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
        """Set the field `name`; a field that is missing is added at the end.

        The origin of a value is the dictionary entry that it was chosen from. It would be wrong for
        another value, so it is removed when the value changes.

        Args:
            name: Name of the field.
            value: The new value; None or empty: unset the field.
            origin: The (href, id) of the dictionary entry of the new value; see Term.origin.

        Returns:
            Whether the payload has changed.

        Raises:
            ValueError: The field holds a table, or `value` has characters that XML cannot hold. The
                payload is unchanged then.
        """
        check_text(name, value or "", *(origin or ()))
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
        """Return (href, id) of the dictionary entry of the field's value; None without one."""
        return _origin(self._field(name))

    def rows(self, name: str) -> list["Payload"]:
        """Return the rows of the table `name`, each a payload that can be read and changed."""
        field = self._field(name)
        return [] if field is None else [Payload(each, self.url) for each in _rows(field)]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name: text, None if unset, or a list of rows for a table."""
        return {name: [row.as_dict() for row in self.rows(name)] or self[name] for name in self}

    def _field(self, name: str) -> Element | None:
        return next(
            (each for each in self.element.iterchildren(_FIELD) if each.get("name") == name), None
        )


def _rows(field: Element) -> list[Element]:
    # Public traces have the list directly in the field; documentation of an older format has it
    # inside the field's value.
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
