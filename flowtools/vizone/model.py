"""Models: the forms that metadata may have, and the fields of each form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowtools.core.described import Described
from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Entry, Resource
from flowtools.vizone.document import Element, child, text

if TYPE_CHECKING:
    from flowtools.vizone.atompub import AtomPub

MODEL_TYPE = "application/vnd.vizrt.model+xml"


@dataclass(frozen=True)
class Field:
    """A field of a form.

    Attributes:
        name: Name of the field, as in a payload.
        label: Text that people see; None without one.
        type: Type of the value (XML Schema); None if it is not given.
        choices: Values that the field may have; empty: any.
        rows: Fields of a row if the field is a table; otherwise empty.
    """

    name: str
    label: str | None
    type: str | None
    choices: tuple[str, ...] = ()
    rows: tuple["Field", ...] = ()


@dataclass(frozen=True)
class Form:
    """A form that metadata may have.

    Attributes:
        name: Name of the form.
        href: Address of its model.
    """

    name: str
    href: str


class Models(Described):
    """The metadata forms, as `client.models`. Any thread may call it."""

    FACTS = ("_client",)

    def __init__(self, client: "AtomPub") -> None:
        self._client = client

    def forms(self, asset: Resource) -> list[Form]:
        """Return the forms that the metadata of `asset` may have."""
        pages = self._client.pages(asset.follow("models"))
        return [
            Form(_name(entry), entry.follow("self", "describedby", "edit"))
            for page in pages
            for entry in page.entries
        ]

    def fields(self, url: str) -> list[Field]:
        """Return the fields of the form whose model is at `url` (a Form.href or Payload.model)."""
        return read_model(self._client.get(url, accept=MODEL_TYPE))


def read_model(model: Element) -> list[Field]:
    """Return the fields of a model document.

    Raises:
        ProtocolError: The document is not a model.
    """
    schema = child(model, "schema")
    if schema is None:
        raise ProtocolError(f"cannot read '{model.base}': not a metadata model")
    return list(_fields(schema))


def _fields(schema: Element) -> Iterator[Field]:
    for each in schema.iterchildren("{*}fielddef"):
        table = child(each, "listdef")
        rows = None if table is None else child(table, "schema")
        yield Field(
            each.get("name", ""),
            each.get("label"),
            each.get("xsdtype"),
            tuple(_choices(each)),
            () if rows is None else tuple(_fields(rows)),
        )


def _choices(definition: Element) -> Iterator[str]:
    for choice in definition.iterchildren("{*}choice"):
        # A choice may hold several `value` elements, or be a value itself.
        for value in list(choice.iterchildren("{*}value")) or [choice]:
            said = text(value)
            if said is not None:
                yield said


def _name(entry: Entry) -> str:
    # Which element holds the name of a form is not public.
    said = text(child(entry.element, "name"))
    return said or entry.identifier or entry.title or ""
