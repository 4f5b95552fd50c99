"""PluginData: the one document that a transfer plugin receives on standard input.

No such document is public. Only its parts are known, and the XML of related documents. So each part
is searched for by its local name, in several spellings and at any depth; the one nearest to the
root is taken. The document is kept as it came: a step is changed in place and sent back with
everything else that is in it.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Self

from lxml import etree

from flowtools.core.described import Described
from flowtools.vizone.asset import Asset
from flowtools.vizone.document import Element, child, parse
from flowtools.vizone.metadata import Payload
from flowtools.vizone.namespaces import ATOM, CORE, MAM, TRANSFER, VDF
from flowtools.vizone.transfer import Step, TransferRequest

STEP = ("transferstep", "step")
REQUEST = ("transferrequest", "request")
SETTINGS = ("pluginmetadata", "pluginsettings", "settings")
SOURCE = ("sourceurl", "source")
DESTINATION = ("destinationurl", "destination")
ASSET = ("asset", "item")
"""Possible names of each part, in order of preference: in lower case, without hyphens and
underscores."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTRY = f"{{{ATOM}}}entry"
_LINK = f"{{{ATOM}}}link"
_PAYLOAD = f"{{{VDF}}}payload"


class TransferStep(Step):
    """The step of a transfer that the plugin carries out; setting a value changes the document."""

    @property
    def done(self) -> int | None:
        """Share of the work that is done, in per cent; None if the step does not say."""
        progress = TransferRequest(self.element).progress
        return None if progress is None else progress[0]

    def set_state(self, state: str) -> None:
        """Set the state of the step: "active" or "error"."""
        # No public trace shows where the state is: in an inner element, in an attribute, or in the
        # element's own text. The form that the server used is kept.
        element = _child(self.element, "state")
        inner = child(element, "state", TRANSFER)
        if inner is not None:
            inner.text = state
        elif element.get("state") is not None:
            element.set("state", state)
        else:
            element.text = state

    def set_done(self, per_cent: int) -> None:
        """Set the share of the work that is done, in per cent."""
        element = _child(self.element, "progress")
        inner = child(element, "done", TRANSFER)
        if inner is not None:
            inner.text = str(per_cent)
            return
        element.set("done", str(per_cent))
        if element.get("total") is None:
            element.set("total", "100")

    def set_error(self, message: str) -> None:
        """Set the error message that people see."""
        _child(self.element, "error").text = _clean(message)


class PluginData(Described):
    """The parts of a PluginData document; a part that the document does not have is None.

    Attributes:
        element: Root of the document.
        step: Step of the transfer, to which the plugin reports.
        request: Transfer request.
        settings: Settings of the plugin, as a form: plugin.user, plugin.password and its own.
        source: URL to read the media from, an ftp URL with its login.
        destination: URL to write the media to, in the same form.
        asset: Asset, with its metadata as `payload`.
    """

    FACTS = ("step", "asset")

    def __init__(self, element: Element) -> None:
        """Search the document `element` for the parts."""
        self.element = element
        step = _find(element, STEP, _with_links)
        self.step = None if step is None else TransferStep(step)
        request = _find(element, REQUEST, _with_links)
        self.request = None if request is None else TransferRequest(request)
        settings = _find(element, SETTINGS, _payload_of)
        self.settings = None if settings is None else Payload(settings)
        asset = _find(element, ASSET, _with_links)
        self.asset = None if asset is None else Asset(asset)
        # The request has elements called source and destination, too; they are not addresses of the
        # media, so its content is left out.
        self.source = _url(element, SOURCE, request)
        self.destination = _url(element, DESTINATION, request)

    @classmethod
    def read(cls, document: bytes | str) -> Self:
        """Return the parts of the given document.

        Raises:
            ProtocolError: The document is not XML.
        """
        content = document.encode() if isinstance(document, str) else document
        return cls(parse(content, name="the plugin data"))


def _levels(root: Element, without: Element | None = None) -> Iterator[Element]:
    """Yield all elements except those inside `without`, those nearest to the root first."""
    waiting = deque([root])
    while waiting:
        element = waiting.popleft()
        yield element
        # A metadata form may have any field names, but holds none of the parts.
        if element.tag != _PAYLOAD and element is not without:
            waiting.extend(each for each in element if isinstance(each.tag, str))


def _find(
    root: Element, names: tuple[str, ...], take: Callable[[Element], Element | None]
) -> Element | None:
    for name in names:
        for element in _levels(root):
            if _name(element) == name:
                found = take(element)
                if found is not None:
                    return found
    return None


def _with_links(element: Element) -> Element | None:
    """Return the element that has the links of a part: the part itself, or the entry in it."""
    if element.find(_LINK) is not None:
        return element
    inner = next((each for each in element if each.find(_LINK) is not None), None)
    return inner if inner is not None else element.find(_ENTRY)


def _payload_of(element: Element) -> Element | None:
    return element if element.tag == _PAYLOAD else element.find(f".//{_PAYLOAD}")


def _url(root: Element, names: tuple[str, ...], without: Element | None) -> str | None:
    def address(element: Element) -> str | None:
        said = (element.text or "").strip()
        for each in (said, element.get("href"), element.get("url")):
            if each and "://" in each:
                return each
        inner = element.find(_LINK)
        return None if inner is None else inner.get("href")

    for name in names:
        for element in _levels(root, without):
            if _name(element) == name and (found := address(element)) and "://" in found:
                return found
    return None


def _name(element: Element) -> str:
    return str(etree.QName(element).localname).lower().replace("-", "").replace("_", "")


def _child(parent: Element, local: str) -> Element:
    found = child(parent, local, TRANSFER, MAM, CORE)
    return found if found is not None else etree.SubElement(parent, f"{{{TRANSFER}}}{local}")


def _clean(message: str) -> str:
    """Return `message` without characters that XML 1.0 cannot hold (section 2.2, Char)."""
    return _NOT_XML.sub("", message)
