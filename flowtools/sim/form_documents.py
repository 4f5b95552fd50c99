"""XML documents for metadata: payloads, dictionaries, forms and their models.

There is one form, and its payload has every feature that a client must cope with: a value, a
value from a dictionary (with its origin), unset fields and a table.
"""

from urllib.parse import quote

from flowtools.sim.asset import Asset
from flowtools.sim.documents import EPOCH
from flowtools.sim.xml import add, link, root, serialise
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import Element
from flowtools.vizone.document import serialise as plain
from flowtools.vizone.model import MODEL_TYPE
from flowtools.vizone.namespaces import ATOM, VDF

DICTIONARIES = {
    "category": {"news": "News", "sport": "Sport", "culture": "Arts & culture"},
    "rights": {"own": "Our own", "licensed": "Licensed"},
}
"""Terms of each dictionary: labels by key."""

FORM = "sim-item"

_FIELDS = (
    ("asset.title", "Title", "string"),
    ("asset.category", "Category", "string"),
    ("asset.synopsis", "Synopsis", "string"),
    ("asset.keywords", "Keywords", "string"),
)


def new_payload(asset: Asset, base: str) -> bytes:
    """Return the metadata of a new asset, as a document."""
    model = f"{base}/api/metadata/form/sim-item/r1"
    document = root(VDF, "payload", model=model)
    add(add(document, VDF, "field", name="asset.title"), VDF, "value", asset.title)
    category = add(document, VDF, "field", name="asset.category")
    add(category, VDF, "value", "news")
    add(
        category,
        VDF,
        "origin",
        href=f"{base}/api/metadata/dictionary/~category/news",
        id="urn:vme:default:dictionary:category:news",
    )
    # Unset: a field without a value, very common in real payloads.
    for name in ("asset.synopsis", "asset.keywords"):
        add(document, VDF, "field", name=name)
    rows = add(add(document, VDF, "field", name="asset.broadcasts"), VDF, "list")
    row = add(add(rows, VDF, "payload"), VDF, "field", name="broadcast.date")
    add(row, VDF, "value", asset.published[:10])
    return plain(document)


def dictionary(name: str, base: str) -> bytes:
    """Return the feed of a dictionary's terms."""
    document = root(ATOM, "feed")
    add(document, ATOM, "id", f"urn:vme:default:dictionary:{name}")
    add(document, ATOM, "title", name)
    add(document, ATOM, "updated", EPOCH)
    document.extend(term(name, key, base) for key in DICTIONARIES[name])
    return serialise(document)


def term(name: str, key: str, base: str) -> Element:
    """Return the entry of one term."""
    entry = root(ATOM, "entry")
    add(entry, ATOM, "id", f"urn:vme:default:dictionary:{name}:{quote(key, safe='')}")
    add(entry, ATOM, "title", DICTIONARIES[name][key])
    add(entry, ATOM, "updated", EPOCH)
    href = f"{base}/api/metadata/dictionary/~{quote(name)}/{quote(key, safe='')}"
    link(entry, "self", href, ENTRY_TYPE)
    return entry


def forms(base: str) -> bytes:
    """Return the feed of forms, which has one entry."""
    document = root(ATOM, "feed")
    add(document, ATOM, "id", "urn:vme:default:form")
    add(document, ATOM, "title", "Forms")
    add(document, ATOM, "updated", EPOCH)
    entry = add(document, ATOM, "entry")
    add(entry, ATOM, "id", f"urn:vme:default:form:{FORM}")
    add(entry, ATOM, "title", FORM)
    add(entry, ATOM, "updated", EPOCH)
    link(entry, "self", f"{base}/api/metadata/form/{FORM}/r1", MODEL_TYPE)
    return serialise(document)


def model() -> bytes:
    """Return the model of the form: its fields, their types, and the choices of a dictionary."""
    document = root(VDF, "model")
    schema = add(document, VDF, "schema")
    for name, label, type_ in _FIELDS:
        field = add(schema, VDF, "fielddef", None, name=name, label=label, xsdtype=type_)
        for key in DICTIONARIES["category"] if name == "asset.category" else ():
            add(add(field, VDF, "choice"), VDF, "value", key)
    table = add(schema, VDF, "fielddef", None, name="asset.broadcasts", label="Broadcasts")
    rows = add(add(table, VDF, "listdef"), VDF, "schema")
    add(rows, VDF, "fielddef", None, name="broadcast.date", label="Date", xsdtype="date")
    return serialise(document)
