"""Handler for the document that a transfer plugin reads on its standard input (PluginData).

    curl -u "$VIZONE_USER:$VIZONE_PASSWORD" "$VIZONE_URL/sim/plugindata?step=7" | flow-run my:Plugin

The form of the real document is not public; this one is composed from related documents that
are. The address exists only here: on a Viz One the transfer daemon gives the plugin its document.
"""

from lxml import etree

from flowtools.sim.asking import Reply, Request, Routes, integer
from flowtools.sim.step_resources import STEPS_PATH
from flowtools.sim.xml import add, link
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import Element
from flowtools.vizone.document import serialise as plain
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.namespaces import ATOM, PREFIXES, TRANSFER, VDF

PATH = "/sim/plugindata"

SOURCE = "ftp://media:media@127.0.0.1:2121/clip.mxf"
DESTINATION = "ftp://media:media@127.0.0.1:2122/clip.mxf"
"""Default addresses of the media and of its copy; `source` and `destination` of the query replace
them."""


class PluginResources:
    """The handler for the document. Thread-safe."""

    def __init__(self, base: str, user: str, password: str) -> None:
        """Prepare; links start with the URL `base`, and the plugin's settings have the login."""
        self._base = base
        self._login = {"plugin.user": user, "plugin.password": password}

    def routes(self) -> Routes:
        """Return the route of the handler."""
        return [(PATH, {"GET": self._document})]

    def _document(self, request: Request) -> Reply:
        query = request.query
        step = integer(query, "step", 1, 1, 10**9)
        root = etree.Element("plugindata", nsmap=PREFIXES)
        self._add_step(root, step)
        self._add_request(root, step)
        settings = add(root, "", "pluginmetadata")
        more = {key: said for key, said in query.items() if key.startswith("plugin.")}
        _add_form(settings, self._login | more)
        add(root, "", "sourceurl", query.get("source", SOURCE))
        add(root, "", "destinationurl", query.get("destination", DESTINATION))
        self._add_asset(root, query.get("title", "Evening bulletin"))
        return Reply(plain(root), "application/xml")

    def _add_step(self, root: Element, number: int) -> None:
        step = add(root, TRANSFER, "step")
        url = f"{self._base}{STEPS_PATH}/{number}"
        link(step, "self", url, ENTRY_TYPE)
        link(step, "edit", url, ENTRY_TYPE)
        add(step, TRANSFER, "state", "waiting")
        add(step, TRANSFER, "progress", None, done="0", total="100")

    def _add_request(self, root: Element, number: int) -> None:
        entry = add(add(root, TRANSFER, "request"), ATOM, "entry")
        add(entry, ATOM, "id", f"urn:vme:default:transfer:{number}")
        link(entry, "self", f"{self._base}/api/transfer/request/{number}", ENTRY_TYPE)

    def _add_asset(self, root: Element, title: str) -> None:
        entry = add(add(root, "", "asset"), ATOM, "entry")
        add(entry, ATOM, "id", "urn:vme:default:asset:121")
        add(entry, ATOM, "title", title)
        link(entry, "self", f"{self._base}/thirdparty/asset/item/121", ENTRY_TYPE)
        url = f"{self._base}/api/asset/item/121/metadata"
        described = link(entry, "describedby", url, PAYLOAD_TYPE)
        _add_form(add(described, ATOM, "inline"), {"asset.title": title})


def _add_form(parent: Element, fields: dict[str, str]) -> None:
    form = add(parent, VDF, "payload")
    for name, said in fields.items():
        add(add(form, VDF, "field", name=name), VDF, "value", said)
