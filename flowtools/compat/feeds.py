"""Feeds by their old names: collections of entries, and FeedIterator over all their pages.

A collection is one page, as it was read. Its entries are parts of its document: changing an entry
changes the page, and nothing is sent until the entry is PUT.
"""

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
    """One page of a feed: its `entries`, and the links of the feed itself."""

    NAME: ClassVar[str] = "the feed"
    ENTRY: ClassVar[Any] = Document

    @property
    def entries(self) -> list[Any]:
        """The entries of this page, in order."""
        return [self.make(each) for each in self._element.iterchildren(f"{{{ATOM}}}entry")]

    def make(self, element: Element) -> Any:
        """Return the object for the entry `element`."""
        # Without __init__, which would parse an answer.
        made = self.ENTRY.__new__(self.ENTRY)
        made.stand_on(element)
        return made

    def page(self, element: Element) -> "FeedDocument":
        """Return `element`, another page of the same feed, as an object of the same class."""
        made = type(self).__new__(type(self))
        made.stand_on(element)
        return made

    def __iter__(self) -> Iterator[Any]:
        return iter(self.entries)


class ItemCollection(FeedDocument):
    """One page of assets; its `entries` are Items."""

    ENTRY: ClassVar[Any] = Item


class Place(Document):
    """An import storage; its `id` is the storage handle."""

    @property
    def id(self) -> str:
        """The storage handle, such as xmlimport."""
        return Location(self._element).handle


class PlaceCollection(FeedDocument):
    """One page of import storages."""

    ENTRY: ClassVar[Any] = Place


class FeedIterator(Described):
    """Iterates over the entries of all pages of a feed; reads each page when it is needed."""

    def __init__(self, feed: Any, client: Client | None = None) -> None:
        """Begin with `feed`, the first page; `client` reads the others (None: the default)."""
        self._feed = feed
        self._client = client

    def __iter__(self) -> Iterator[Any]:
        from flowtools.vizone.paging import walk

        client = self._client or get_default_instance()
        # Without a link to itself a feed has no address, and so no further pages.
        first = self._feed.self_link
        if first is None:
            yield from self._feed.entries
            return
        begun = as_feed(self._feed.entry.element, first.href)

        # `walk` begins with the first page, which the caller has read already.
        def read(url: str) -> Any:
            return begun if url == first.href else client.one.feed(url)

        for page in walk(read, first.href):
            yield from self._feed.page(page.element).entries


class Term(Document):
    """A key of a dictionary or thesaurus: `key`, and the `label` that people read."""

    @property
    def key(self) -> str:
        """The key, which is the value of a metadata field.

        The element for it is not public: the identifier, the end of the atom:id or the title.
        """
        last = (self.entry.id or "").rpartition(":")[2]
        return self.entry.identifier or last or self.title or ""

    @property
    def label(self) -> str:
        """The text for people."""
        return self.title or self.key

    @property
    def origin(self) -> tuple[str, str]:
        """Address and atom:id of the term, which metadata contains beside the key."""
        return self.entry.self_link or "", self.entry.id or ""


class Dictionary(FeedDocument):
    """A dictionary: its `entries` are terms."""

    NAME: ClassVar[str] = "the dictionary"
    ENTRY: ClassVar[Any] = Term


class Thesaurus(Dictionary):
    """A thesaurus: its `entries` are terms."""

    NAME: ClassVar[str] = "the thesaurus"


class MetadataForm(Document):
    """A metadata form; `self_link` leads to its model."""

    @property
    def name(self) -> str:
        """The name of the form. The element for it is not public, so several are tried."""
        said = text(child(self._element, "name"))
        return said or self.entry.identifier or self.title or ""


class MetadataFormCollection(FeedDocument):
    """One page of metadata forms."""

    NAME: ClassVar[str] = "the forms"
    ENTRY: ClassVar[Any] = MetadataForm


class Model(Described):
    """The fields of a form.

    Attributes:
        fields: List of flowtools.vizone.model.Field (name, label, type, choices, rows).
    """

    def __init__(self, answer: Any) -> None:
        """Read the model in an answer, bytes or text.

        Raises:
            ProtocolError: The content is not a model.
        """
        from flowtools.compat.answers import root_of

        self.fields: list[Field] = read_model(root_of(answer, "the model"))
        self._url: str | None = getattr(answer, "url", None)

    def to_payload(self) -> Payload:
        """Return metadata of this form in which no field is set."""
        # A payload names its model by address, which is known if the model came in an answer.
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
        """The media file as an object with `src` and `type`; None if the entry names none."""
        found = self._element.find(f"{{{ATOM}}}content")
        if found is None:
            return None
        return SimpleNamespace(src=found.get("src"), type=found.get("type"))


def get_assets(client: Client | None = None) -> ItemCollection:
    """Return the first page of the feed of assets; raises as Client.GET."""
    client = client or get_default_instance()
    return ItemCollection(client.GET(client.one.collection("asset")))


def get_unmanaged_files(client: Client | None = None) -> PlaceCollection:
    """Return the first page of the feed of import storages; raises as Client.GET."""
    client = client or get_default_instance()
    return PlaceCollection(client.GET(client.one.collection(*KEYWORDS)))
