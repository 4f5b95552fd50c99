"""Feeds by their old names: collections of entries, and FeedIterator over all their pages."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar

from lxml import etree

from flowtools.compat.asset import Item
from flowtools.compat.client import Client
from flowtools.compat.document import Document
from flowtools.compat.instance import get_default_instance
from flowtools.compat.payload import Payload
from flowtools.core.described import Described
from flowtools.vizone.atom import as_feed
from flowtools.vizone.document import Element, child, text
from flowtools.vizone.files import KEYWORDS, Location
from flowtools.vizone.model import Field, read_model
from flowtools.vizone.namespaces import ATOM, VDF


class FeedDocument(Document):
    """A feed: its entries, and the links of the feed itself."""

    NAME: ClassVar[str] = "the feed"
    ENTRY: ClassVar[Any] = Document

    @property
    def entries(self) -> list[Any]:
        """The entries of this page, in their order."""
        return [self.make(each) for each in self._element.iterchildren(f"{{{ATOM}}}entry")]

    def make(self, element: Element) -> Any:
        """Return the object of one entry."""
        made = self.ENTRY.__new__(self.ENTRY)
        made.stand_on(element)
        return made

    def page(self, element: Element) -> "FeedDocument":
        """Return another page of the same feed."""
        made = type(self).__new__(type(self))
        made.stand_on(element)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries)


class ItemCollection(FeedDocument):
    """The assets on a page of a feed."""

    ENTRY: ClassVar[Any] = Item


class Place(Document):
    """An import storage; its `id` is the storage handle."""

    @property
    def id(self) -> str:
        """The handle."""
        return Location(self._element).handle


class PlaceCollection(FeedDocument):
    """The import storages."""

    ENTRY: ClassVar[Any] = Place


class FeedIterator(Described):
    """Goes through the entries of a feed, page after page, each read when it is needed."""

    def __init__(self, feed: Any, client: Client | None = None) -> None:
        """Begin with `feed`, the first page, which is not read again."""
        self._feed = feed
        self._client = client

    def __iter__(self) -> Iterator[Any]:
        from flowtools.vizone.paging import walk

        client = self._client or get_default_instance()
        first = self._feed.self_link
        if first is None:
            yield from self._feed.entries
            return
        begun = as_feed(self._feed.entry.element, first.href)

        def read(url: str) -> Any:
            return begun if url == first.href else client.one.feed(url)

        for page in walk(read, first.href):
            yield from self._feed.page(page.element).entries


class Term(Document):
    """A key of a dictionary or thesaurus: `key`, and the `label` that people read."""

    @property
    def key(self) -> str:
        """What a field holds."""
        last = (self.entry.id or "").rpartition(":")[2]
        return self.entry.identifier or last or self.title or ""

    @property
    def label(self) -> str:
        """What people read."""
        return self.title or self.key

    @property
    def origin(self) -> tuple[str, str]:
        """What goes into metadata beside the key."""
        return self.entry.self_link or "", self.entry.id or ""


class Dictionary(FeedDocument):
    """A dictionary: its `entries` are terms."""

    NAME: ClassVar[str] = "the dictionary"
    ENTRY: ClassVar[Any] = Term


class Thesaurus(Dictionary):
    """A thesaurus: its `entries` are terms."""

    NAME: ClassVar[str] = "the thesaurus"


class MetadataForm(Document):
    """A form that metadata can have; `self_link` leads to its model."""

    @property
    def name(self) -> str:
        """What it is called."""
        said = text(child(self._element, "name"))
        return said or self.entry.identifier or self.title or ""


class MetadataFormCollection(FeedDocument):
    """The forms that metadata can have."""

    NAME: ClassVar[str] = "the forms"
    ENTRY: ClassVar[Any] = MetadataForm


class Model(Described):
    """The fields of a form.

    Attributes:
        fields: Each a flowtools.vizone.model.Field: name, label, type, choices, rows.
    """

    def __init__(self, answer: Any) -> None:
        """Read the model in an answer, bytes or text.

        Raises:
            ProtocolError: It is not a model.
        """
        from flowtools.compat.answers import root_of

        self.fields: list[Field] = read_model(root_of(answer, "the model"))
        self._url: str | None = getattr(answer, "url", None)

    def to_payload(self) -> Payload:
        """Return metadata of this form in which no field is set."""
        form = etree.Element(f"{{{VDF}}}payload", nsmap={"vdf": VDF})
        if self._url:
            form.set("model", self._url)
        for field in self.fields:
            etree.SubElement(form, f"{{{VDF}}}field", name=field.name)
        return Payload(etree.tostring(form))


class ImportExport(Item):
    """An entry in Viz One's form for import and export: an asset with its metadata inlined."""

    NAME: ClassVar[str] = "the import"

    @property
    def content(self) -> SimpleNamespace | None:
        """The media file: its `src` and `type`; None where it names none."""
        found = self._element.find(f"{{{ATOM}}}content")
        if found is None:
            return None
        return SimpleNamespace(src=found.get("src"), type=found.get("type"))


def get_assets(client: Client | None = None) -> ItemCollection:
    """Return the feed of assets: its first page."""
    client = client or get_default_instance()
    return ItemCollection(client.GET(client.one.collection("asset")))


def get_unmanaged_files(client: Client | None = None) -> PlaceCollection:
    """Return the feed of import storages: its first page."""
    client = client or get_default_instance()
    return PlaceCollection(client.GET(client.one.collection(*KEYWORDS)))
