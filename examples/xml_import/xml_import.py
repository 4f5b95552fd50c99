"""Import media files with their metadata from XML files; either file may come first.

    flow-run examples/xml_import/xml_import.ini -j 4

An XML file creates a placeholder asset, or updates it, and names its media file. The file of a pair
that comes first is remembered in Viz One's store for programs, so that nothing is lost when the
process dies.
"""

from dataclasses import dataclass

from lxml import etree
from simpleeval import EvalWithCompoundTypes

from flowtools.errors import ProtocolError
from flowtools.multiparser import MultiParser, as_text
from flowtools.source.location import UnmanagedFilesListener
from flowtools.vizone import ConflictError, Locked, NotFoundError
from flowtools.vizone.asset import as_asset
from flowtools.vizone.atom import as_entry
from flowtools.vizone.document import Element, parse
from flowtools.worker import Reject, Retry

LATER = 2.0
"""Seconds after which a file that is not valid XML is read again: it may not be complete yet."""

FUNCTIONS = {"str": str, "int": int, "float": float, "len": len}


class XmlImport:
    """Pairs XML files with media files; an event that comes twice changes nothing."""

    SOURCE = UnmanagedFilesListener
    NEEDS = ("client", "store")

    def configure(self, config):
        kinds = {"default": DefaultFormat, "custom": CustomFormat}
        self.format = kinds[config.get("Xml", "format", fallback="default")](config)

    def start(self, event):
        if event.type == "flow.file.deleted" or not event["name"] or event["size"] == 0:
            return
        with Locked(event["name"]):
            if event["name"].lower().endswith(".xml"):
                self.take_xml(event)
            else:
                self.take_media(event["name"], event["links"]["self"])

    def take_xml(self, event):
        """Create or update the asset, pair it with its media file, and remove the XML file."""
        try:
            content = self.client.request("GET", event["url"], accept="*/*").content
        except NotFoundError:
            return  # An earlier event has handled the file and removed it.
        try:
            found = self.format.read(event["name"], content, self.client)
        except ProtocolError as error:
            raise Retry(str(error), after=LATER) from error
        except ValueError as error:
            raise Reject(f"{event['name']}: {error}") from error
        asset = self.client.assets.create_or_update_asset(
            found.identity, found.title, metadata=found.metadata
        )
        if found.media and asset.media == "placeholder":
            self.pair(asset, found.media)
        # Last, so that everything is done again if something above has failed.
        self.client.request("DELETE", event["links"].get("delete") or event["links"]["self"])

    def pair(self, asset, media):
        with Locked(("media", media)):
            known = self.store.get(media)
            if known and known["type"] == "media":
                self.import_media(asset, known["link"])
                self.store.delete(media)
            else:
                self.store.put(media, {"type": "asset", "link": asset.self_link})

    def take_media(self, name, link):
        """Import the file into the asset that waits for it, or remember it."""
        with Locked(("media", name)):
            known = self.store.get(name)
            if known and known["type"] == "asset":
                self.import_media(self.client.assets.get(known["link"]), link)
                self.store.delete(name)
            else:
                self.store.put(name, {"type": "media", "link": link})

    def import_media(self, asset, link):
        try:
            self.client.files.import_into(asset, link)
        except ConflictError:
            return  # An earlier request was carried out, but its answer was lost.


@dataclass
class Found:
    """The content of an XML file: the asset's identity, title, metadata and media file."""

    identity: str
    title: str | None
    metadata: dict
    media: str | None


class DefaultFormat:
    """Reads an atom:entry whose describedby link contains the metadata (Viz One's own form)."""

    def __init__(self, config):
        pass

    def read(self, name, content, client):
        """Return the content of the file.

        Raises:
            ProtocolError: The file is not XML of this form.
            ValueError: The file has no identity.
        """
        entry = as_asset(as_entry(parse(content, name=name), name))
        identity = entry.identifier or entry.id
        if identity is None:
            raise ValueError("it has no identity")
        form = entry.payload
        metadata = {} if form is None else {field: form[field] for field in form}
        return Found(identity, entry.title, metadata, entry.content)


class CustomFormat:
    """Reads fields by XPath, computes transforms from them, and makes the metadata from both."""

    def __init__(self, config):
        self.namespaces = dict(config.items("Namespaces")) if "Namespaces" in config else {}
        self.fields = {
            section.removeprefix("Field:"): self.field(section, dict(config.items(section)))
            for section in config.sections()
            if section.startswith("Field:")
        }
        self.transforms = dict(config.items("Transforms")) if "Transforms" in config else {}
        self.vdf = dict(config.items("Vdf")) if "Vdf" in config else {}
        self.vdf.pop("form", None)  # The server chooses the form of a new asset.

    def field(self, section, options):
        try:
            xpath = etree.XPath(options.pop("xpath"), namespaces=self.namespaces)
            options = {key.replace(" ", "_"): said for key, said in options.items()}
            return xpath, MultiParser(**options)
        except (KeyError, TypeError, ValueError, etree.XPathSyntaxError) as error:
            raise ValueError(f"[{section}]: {error}") from error

    def read(self, name, content, client):
        """Return the content of the file; the errors are those of DefaultFormat.read."""
        root = parse(content, name=name)
        data = {"xml_filename": name}
        for field, (xpath, parser) in self.fields.items():
            data[field] = parser.convert(first(xpath(root)), client)
        for field, expression in self.transforms.items():
            data[field] = evaluate("Transforms", field, expression, data)
        metadata = {
            field: as_text(evaluate("Vdf", field, expression, data))
            for field, expression in self.vdf.items()
        }
        if not data.get("asset_id"):
            raise ValueError("no field or transform gives it an asset_id")
        media = data.get("media_filename")
        return Found(str(data["asset_id"]), metadata.get("asset.title"), metadata, media)


def evaluate(section, field, expression, data):
    """Return the value of an expression (simpleeval) over the fields read so far."""
    try:
        return EvalWithCompoundTypes(names=data, functions=FUNCTIONS).eval(expression)
    except Exception as error:  # An expression may raise anything.
        raise ValueError(f"[{section}] {field} = {expression}: {error}") from error


def first(found):
    """Return the text of the first node that an XPath has found, or its value."""
    if isinstance(found, list):
        found = found[0] if found else None
    return found.xpath("string()") if isinstance(found, Element) else found
