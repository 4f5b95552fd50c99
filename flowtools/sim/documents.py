"""The stand-in's XML: service document, feeds, entries, tombstones, metadata."""

from collections.abc import Sequence
from urllib.parse import quote

from lxml import etree

from flowtools.sim.catalogue import Asset, File
from flowtools.vizone.atom import (
    APP,
    ATOM,
    CORE,
    DCTERMS,
    ENTRY_TYPE,
    FEED_TYPE,
    MAM,
    MEDIA,
    MEDIA_TYPE,
    OPENSEARCH,
    TOMBSTONE,
    VDF,
)
from flowtools.vizone.document import Element, serialise
from flowtools.vizone.metadata import PAYLOAD_TYPE

SERVICE_TYPE = "application/atomsvc+xml"
LOCATIONS_PATH = "/thirdparty/unmanaged"
ASSETS_PATH = "/thirdparty/asset/item"

_NAMESPACES = {
    "atom": ATOM,
    "app": APP,
    "vdf": VDF,
    "core": CORE,
    "mam": MAM,
    "media": MEDIA,
    "vizmedia": MEDIA_TYPE,
    "dcterms": DCTERMS,
    "opensearch": OPENSEARCH,
    "at": TOMBSTONE,
}


def _root(namespace: str, name: str, /, **attributes: str) -> Element:
    # As on the real one, the whole table of prefixes, used or not.
    return etree.Element(f"{{{namespace}}}{name}", attributes, nsmap=_NAMESPACES)


def _add(
    parent: Element, namespace: str, name: str, said: str | None = None, /, **attributes: str
) -> Element:
    made = etree.SubElement(parent, f"{{{namespace}}}{name}", attributes)
    made.text = said
    return made


def _link(parent: Element, rel: str, href: str, type: str | None = None) -> None:
    _add(parent, ATOM, "link", None, rel=rel, href=href, **({"type": type} if type else {}))


def service(base: str) -> bytes:
    """Return the service document: the collections, found by their keywords."""
    root = _root(APP, "service")
    workspace = _add(root, APP, "workspace")
    _add(workspace, ATOM, "title", "Stand-in")
    for title, path, keyword in (
        ("Items", ASSETS_PATH, "asset"),
        ("Unmanaged files", LOCATIONS_PATH, "unmanaged-file"),
    ):
        collection = _add(workspace, APP, "collection", href=base + path)
        _add(collection, ATOM, "title", title)
        categories = _add(collection, APP, "categories", fixed="yes")
        _add(categories, ATOM, "category", scheme=VDF, term=keyword)
    return serialise(root)


def asset_entry(asset: Asset, base: str) -> Element:
    """Return the entry of an asset."""
    path = f"/asset/item/{asset.number}"
    root = _root(ATOM, "entry")
    _add(root, ATOM, "id", asset.urn)
    _add(root, ATOM, "title", asset.title)
    _add(root, ATOM, "published", asset.published)
    _add(root, ATOM, "updated", asset.updated)
    if asset.identifier:
        _add(root, DCTERMS, "identifier", asset.identifier)
    _add(root, CORE, "ardomeIdentity", asset.number, name="id")
    _add(root, MAM, "mediastatus", asset.status)
    _add(root, MEDIA_TYPE, "media", asset.media)
    for scheme, term in asset.keywords:
        _add(root, ATOM, "category", scheme=scheme, term=term)
    _link(root, "self", f"{base}/thirdparty{path}", ENTRY_TYPE)
    _link(root, "edit", f"{base}/api{path}", ENTRY_TYPE)
    _link(root, "describedby", f"{base}/api{path}/metadata", PAYLOAD_TYPE)
    return root


def asset_feed(
    page: Sequence[Asset], base: str, *, start: int, num: int, total: int, links: dict[str, str]
) -> bytes:
    """Return one page of the asset feed; `start` counts from 1."""
    root = _root(ATOM, "feed")
    _add(root, ATOM, "id", "urn:vme:default:search:asset")
    _add(root, ATOM, "title", "Items")
    _add(root, ATOM, "updated", max((each.updated for each in page), default=EPOCH))
    _add(root, OPENSEARCH, "totalResults", str(total))
    _add(root, OPENSEARCH, "startIndex", str(start))
    _add(root, OPENSEARCH, "itemsPerPage", str(num))
    for rel, href in links.items():
        _link(root, rel, href)
    root.extend(asset_entry(each, base) for each in page)
    return serialise(root)


def tombstone(urn: str, when: str) -> bytes:
    """Return what is left of a deleted entry."""
    return serialise(_root(TOMBSTONE, "deleted-entry", ref=urn, when=when))


EPOCH = "1970-01-01T00:00:00Z"


def locations(handles: Sequence[str], base: str) -> bytes:
    """Return the feed of the import storages."""
    root = _root(ATOM, "feed")
    _add(root, ATOM, "id", "urn:vme:default:unmanaged")
    _add(root, ATOM, "title", "Unmanaged files")
    _add(root, ATOM, "updated", EPOCH)
    for handle in handles:
        entry = _add(root, ATOM, "entry")
        _add(entry, ATOM, "id", f"urn:vme:default:storage:{handle}")
        _add(entry, ATOM, "title", f"Import storage {handle}")
        _add(entry, ATOM, "updated", EPOCH)
        _add(entry, DCTERMS, "identifier", handle)
        _link(entry, "down", f"{base}{location_path(handle)}", FEED_TYPE)
    return serialise(root)


def location_path(handle: str) -> str:
    """Return the path of an import storage's feed."""
    return f"/api/media/unmanaged/{quote(handle, safe='')}"


def file_urn(file: File) -> str:
    """Return the atom:id of a file."""
    return f"urn:vme:default:unmanaged:{file.location}:{quote(file.name, safe='')}"


def file_path(file: File) -> str:
    """Return the path of a file's entry."""
    return f"{location_path(file.location)}/{quote(file.name, safe='')}"


def file_entry(file: File, base: str) -> Element:
    """Return the entry of an unmanaged file."""
    href = f"{base}{file_path(file)}"
    content = f"{base}/files/{quote(file.location, safe='')}/{quote(file.name, safe='')}"
    root = _root(ATOM, "entry")
    _add(root, ATOM, "id", file_urn(file))
    _add(root, ATOM, "title", file.name)
    _add(root, ATOM, "updated", file.updated)
    _link(root, "self", href, ENTRY_TYPE)
    _link(root, "delete", href)
    _add(
        root,
        MEDIA,
        "content",
        url=content,
        fileSize=str(len(file.content)),
        type="application/octet-stream",
    )
    return root


def file_feed(
    files: Sequence[File], location: str, base: str, monitor: str, deleted: Sequence[File] = ()
) -> bytes:
    """Return the feed of an import storage, or of the files that a message is about."""
    root = _root(ATOM, "feed")
    _add(root, ATOM, "id", f"urn:vme:default:unmanaged:{location}")
    _add(root, ATOM, "title", location)
    _add(root, ATOM, "updated", max((each.updated for each in files), default=EPOCH))
    _link(root, "self", f"{base}{location_path(location)}", FEED_TYPE)
    _link(root, "monitor", monitor)
    for each in deleted:
        _add(root, TOMBSTONE, "deleted-entry", ref=file_urn(each), when=each.updated)
    root.extend(file_entry(each, base) for each in files)
    return serialise(root)


def new_payload(asset: Asset, base: str) -> bytes:
    """Return the metadata of a new asset, in the stand-in's one form."""
    model = f"{base}/api/metadata/form/sim-item/r1"
    root = etree.Element(f"{{{VDF}}}payload", {"model": model}, nsmap={None: VDF})  # type: ignore[dict-item]
    _add(_add(root, VDF, "field", name="asset.title"), VDF, "value", asset.title)
    category = _add(root, VDF, "field", name="asset.category")
    _add(category, VDF, "value", "news")
    _add(
        category,
        VDF,
        "origin",
        href=f"{base}/api/metadata/dictionary/~category/news",
        id="urn:vme:default:dictionary:category:news",
    )
    for name in ("asset.synopsis", "asset.keywords"):
        _add(root, VDF, "field", name=name)
    rows = _add(_add(root, VDF, "field", name="asset.broadcasts"), VDF, "list")
    row = _add(_add(rows, VDF, "payload"), VDF, "field", name="broadcast.date")
    _add(row, VDF, "value", asset.published[:10])
    return serialise(root)
