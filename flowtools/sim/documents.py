"""XML documents for assets: service document, search description, feed, entries, tombstones.

Names, namespaces and nesting are those of public traces of Viz One (docs/conformance.md).
"""

from collections.abc import Sequence

from flowtools.sim.asset import Asset
from flowtools.sim.xml import add, link, root, serialise
from flowtools.vizone.asset import RIGHTS
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE
from flowtools.vizone.document import Element, parse
from flowtools.vizone.document import serialise as plain
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.namespaces import (
    ACL,
    APP,
    ATOM,
    ATOM_EXT,
    CORE,
    DCTERMS,
    MAM,
    MEDIA,
    MEDIA_TYPE,
    OPENSEARCH,
    TOMBSTONE,
    VDF,
)
from flowtools.vizone.service import DESCRIPTION_TYPE

SERVICE_TYPE = "application/atomsvc+xml"
LOCATIONS_PATH = "/thirdparty/unmanaged"
ASSETS_PATH = "/thirdparty/asset/item"
STORE_PATH = "/api/client-config"
DICTIONARIES_PATH = "/api/metadata/dictionary"
INCOMING_PATH = "/thirdparty/incoming"
GROUPS_PATH = "/thirdparty/collection"
GROUP_KINDS = ("series", "season", "program", "folder", "aggregate-asset")
EPOCH = "1970-01-01T00:00:00Z"

_COLLECTIONS = (
    ("Items", ASSETS_PATH, ("asset", "search")),
    ("Unmanaged files", LOCATIONS_PATH, ("unmanaged-file",)),
    ("Incoming", INCOMING_PATH, ("incoming",)),
    ("Client configuration", STORE_PATH, ("client-config",)),
    ("Dictionaries", DICTIONARIES_PATH, ("dictionary",)),
    *((kind, f"{GROUPS_PATH}/{kind}", (kind,)) for kind in GROUP_KINDS),
)

_TEMPLATES = {
    "client-config": {
        "client-config": "/{vizid:application}/{config}",
        "client-asset-config": "/{vizid:application}/{config}?asset={vizid:atom-id}",
    },
    "dictionary": {"dictionary": "/~{name}"},
}


def service(base: str) -> bytes:
    """Return the service document: the collections with their keywords and templates."""
    document = root(APP, "service")
    workspace = add(document, APP, "workspace")
    add(workspace, ATOM, "title", "Stand-in")
    for title, path, keywords in _COLLECTIONS:
        collection = add(workspace, APP, "collection", href=base + path)
        add(collection, ATOM, "title", title)
        categories = add(collection, APP, "categories", fixed="yes")
        for keyword in keywords:
            add(categories, ATOM, "category", scheme=VDF, term=keyword)
        if "search" in keywords:
            link(collection, "search", f"{base}{path}?format=opensearch", DESCRIPTION_TYPE)
        for id, rest in _TEMPLATES.get(keywords[0], {}).items():
            # How a real server writes a resolve template is not public.
            add(collection, ATOM_EXT, "resolve", None, id=id, template=base + path + rest)
    # `plain` keeps the usual prefixes: the parameters of a template are named with them in text,
    # which `xml.serialise` would not rename.
    return plain(document)


def description(base: str) -> bytes:
    """Return the OpenSearch description of the asset search."""
    document = root(OPENSEARCH, "OpenSearchDescription")
    add(document, OPENSEARCH, "ShortName", "Items")
    template = (
        f"{base}{ASSETS_PATH}?q={{searchTerms?}}&start={{startIndex?}}&num={{count?}}"
        "&sort={vizsort:sort?}&media={vizmedia:media?}"
    )
    add(document, OPENSEARCH, "Url", None, type=FEED_TYPE, template=template)
    return plain(document)


def asset_entry(asset: Asset, base: str, *, inline: bool = False) -> Element:
    """Return the entry of an asset; `inline` includes its metadata in the describedby link."""
    path = f"/asset/item/{asset.number}"
    entry = root(ATOM, "entry")
    add(entry, ATOM, "id", asset.urn)
    add(entry, ATOM, "title", asset.title)
    add(entry, ATOM, "published", asset.published)
    add(entry, ATOM, "updated", asset.updated)
    if asset.identifier:
        add(entry, DCTERMS, "identifier", asset.identifier)
    add(entry, CORE, "ardomeIdentity", asset.number, name="id")
    add(entry, MAM, "mediastatus", asset.status)
    add(entry, MEDIA_TYPE, "media", asset.media)
    for scheme, term in asset.keywords:
        add(entry, ATOM, "category", scheme=scheme, term=term)
    _add_links(entry, asset, base, path, inline)
    if asset.content is not None:
        _add_content(entry, asset, f"{base}/api{path}/media")
    for kind in ("asset", "media"):
        _add_permissions(entry, kind, asset)
    return entry


def _add_links(entry: Element, asset: Asset, base: str, path: str, inline: bool) -> None:
    api = f"{base}/api{path}"
    link(entry, "self", f"{base}/thirdparty{path}", ENTRY_TYPE)
    link(entry, "edit", api, ENTRY_TYPE)
    describedby = link(entry, "describedby", f"{api}/metadata", PAYLOAD_TYPE)
    if inline:
        holder = add(describedby, ATOM, "inline")
        holder.append(parse(asset.payload, name="the metadata"))
    forms = f"{base}/api/metadata/form?qType=ASSET.Item&qId={asset.number}"
    link(entry, "models", forms, FEED_TYPE)
    link(entry, "edit-media", f"{api}/media")
    link(entry, "import-unmanaged", f"{api}/import")
    if asset.upload_task is not None:
        link(entry, "upload-task", f"{base}{INCOMING_PATH}/{asset.upload_task}", ENTRY_TYPE)


def _add_content(entry: Element, asset: Asset, url: str) -> None:
    type_ = "application/octet-stream"
    add(entry, ATOM, "content", None, src=url, type=type_)
    group = add(entry, MEDIA, "group")
    size = str(len(asset.content or b""))
    add(group, MEDIA, "content", None, type=type_, url=url, fileSize=size, isDefault="1")


def _add_permissions(entry: Element, kind: str, asset: Asset) -> None:
    # Without a single line there is no element for the list either.
    lines = [each for each in asset.permissions if each[0] == kind]
    parent = add(entry, ACL, kind) if lines else None
    for _, group, rights in lines:
        assert parent is not None
        said = {right: "1" if right in rights else "0" for right in RIGHTS}
        add(parent, ACL, "group", None, name=group, **said)


def asset_feed(
    page: Sequence[Asset],
    base: str,
    *,
    start: int,
    num: int,
    total: int,
    links: dict[str, str],
    tombstones: Sequence[Asset] = (),
) -> bytes:
    """Return one page of the asset feed.

    Args:
        page: Assets on this page.
        base: URL that links start with.
        start: Place of the page's first asset in the whole feed, from 1 on.
        num: Number of assets that a page has.
        total: Number of assets in the whole feed.
        links: Addresses of the feed's links by relation.
        tombstones: Deleted assets to report.
    """
    document = root(ATOM, "feed")
    add(document, ATOM, "id", "urn:vme:default:search:asset")
    add(document, ATOM, "title", "Items")
    add(document, ATOM, "updated", max((each.updated for each in page), default=EPOCH))
    add(document, OPENSEARCH, "totalResults", str(total))
    add(document, OPENSEARCH, "startIndex", str(start))
    add(document, OPENSEARCH, "itemsPerPage", str(num))
    for rel, href in links.items():
        link(document, rel, href)
    for each in tombstones:
        add(document, TOMBSTONE, "deleted-entry", None, ref=each.urn, when=each.updated)
    document.extend(asset_entry(each, base) for each in page)
    return serialise(document)


def tombstone(urn: str, when: str) -> bytes:
    """Return the tombstone (RFC 6721) of an entry that was deleted at the time `when`."""
    return serialise(root(TOMBSTONE, "deleted-entry", ref=urn, when=when))
