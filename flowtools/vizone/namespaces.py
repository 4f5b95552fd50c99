"""The namespaces of Viz One's documents, and their usual prefixes.

Elements are matched by namespace. The prefixes are only used to name a parameter of a URL template,
as in "vizsort:sort".
"""

ATOM = "http://www.w3.org/2005/Atom"
APP = "http://www.w3.org/2007/app"
VDF = "http://www.vizrt.com/types"
CORE = "http://ns.vizrt.com/ardome/core"
MAM = "http://www.vizrt.com/2010/mam"
ACL = "http://www.vizrt.com/2012/acl"
MEDIA = "http://search.yahoo.com/mrss/"
MEDIA_TYPE = "http://www.vizrt.com/opensearch/mediatype"
VIZ_ID = "http://www.vizrt.com/opensearch/vizid"
VIZ_SORT = "http://www.vizrt.com/opensearch/sortorder"
ATOM_EXT = "http://www.vizrt.com/atom-ext"
DCTERMS = "http://purl.org/dc/terms/"
OPENSEARCH = "http://a9.com/-/spec/opensearch/1.1/"
TOMBSTONE = "http://purl.org/atompub/tombstones/1.0"
TRANSFER = "http://ns.vizrt.com/ardome/transfer"

PREFIXES = {
    "atom": ATOM,
    "app": APP,
    "vdf": VDF,
    "core": CORE,
    "mam": MAM,
    "acl": ACL,
    "media": MEDIA,
    "vizmedia": MEDIA_TYPE,
    "vizid": VIZ_ID,
    "vizsort": VIZ_SORT,
    "vaext": ATOM_EXT,
    "dcterms": DCTERMS,
    "opensearch": OPENSEARCH,
    "at": TOMBSTONE,
    "transfer": TRANSFER,
}
"""Each namespace by its usual prefix."""
