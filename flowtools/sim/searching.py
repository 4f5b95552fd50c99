"""Search and order of the asset feed.

The query language of a real server is not public beyond `field:value` and single words; this is
as much of it as public clients use.
"""

from flowtools.core.errors import ProtocolError
from flowtools.sim.asset import Asset
from flowtools.vizone.document import parse
from flowtools.vizone.metadata import Payload


def found_by(query: str, assets: list[Asset]) -> list[Asset]:
    """Return those of `assets` that match `query`; an empty query matches all.

    `field:value`, with a dot in the name, compares the whole value of a metadata field. Any
    other text is looked for in titles, identities and keywords, in upper or lower case.
    """
    if not query:
        return assets
    name, colon, value = query.partition(":")
    if colon and "." in name:
        return [each for each in assets if (_field(each, name) or "") == value]
    wanted = query.casefold()
    return [each for each in assets if wanted in _words(each)]


def in_order(assets: list[Asset], sort: str) -> list[Asset]:
    """Return `assets` sorted by search.modificationDate or search.creationDate.

    A leading "-" puts the latest first. Any other `sort` keeps the order of `assets`.
    """
    keys = {"search.modificationDate": "updated", "search.creationDate": "published"}
    key = keys.get(sort.removeprefix("-"))
    if key is None:
        return assets
    # The number decides between assets of one moment, so that pages never overlap.
    ordered = sorted(assets, key=lambda each: (getattr(each, key), each.number))
    return ordered[::-1] if sort.startswith("-") else ordered


def _words(asset: Asset) -> str:
    terms = [term for _, term in asset.keywords]
    return "\n".join([asset.title, asset.urn, asset.identifier or "", *terms]).casefold()


def _field(asset: Asset, name: str) -> str | None:
    try:
        return Payload(parse(asset.payload, name="the metadata"))[name]
    except ProtocolError:
        return None
