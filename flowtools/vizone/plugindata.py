"""PluginData: the one document that a transfer plugin gets on standard input.

No such document is public; known are its parts, and the XML of its neighbours. So each part
is looked for by its local name, in several spellings and anywhere, the least deep first. The
document is kept as it came: a step is edited in place and sent back with all that was in it.
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
"""What a part may be called: in lower case, without hyphens and underscores."""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTRY = f"{{{ATOM}}}entry"
_LINK = f"{{{ATOM}}}link"
_PAYLOAD = f"{{{VDF}}}payload"


class TransferStep(Step):
    """The step of a transfer that the plugin is; what is set is set in the document itself."""

    @property
    def done(self) -> int | None:
        """How many per cent are done, where it says."""
        progress = TransferRequest(self.element).progress
        return None if progress is None else progress[0]

    def set_state(self, state: str) -> None:
        """Set the state: active, error."""
        element = _child(self.element, "state")
        inner = child(element, "state", TRANSFER)
        if inner is not None:
            inner.text = state
        elif element.get("state") is not None:
            element.set("state", state)
        else:
            element.text = state

    def set_done(self, per_cent: int) -> None:
        """Set how many per cent are done."""
        element = _child(self.element, "progress")
        inner = child(element, "done", TRANSFER)
        if inner is not None:
            inner.text = str(per_cent)
            return
        element.set("done", str(per_cent))
        if element.get("total") is None:
            element.set("total", "100")

    def set_error(self, message: str) -> None:
        """Set what people are told."""
        _child(self.element, "error").text = _clean(message)


class PluginData(Described):
    """The parts of a document; None is what it does not have.

    Attributes:
        element: The root of the document.
        step: The step.
        request: The transfer request.
        settings: The plugin's settings, as a form: plugin.user, plugin.password, its own.
        source: Where to read the media: an ftp URL with its login.
        destination: Where to write it.
        asset: The asset, with its metadata as `payload`.
    """

    FACTS = ("step", "asset")

    def __init__(self, element: Element) -> None:
        """Look for the parts in the document `element`."""
        self.element = element
        step = _find(element, STEP, _is_linked)
        self.step = None if step is None else TransferStep(step)
        request = _find(element, REQUEST, _is_linked)
        self.request = None if request is None else TransferRequest(request)
        settings = _find(element, SETTINGS, _payload_of)
        self.settings = None if settings is None else Payload(settings)
        asset = _find(element, ASSET, _is_linked)
        self.asset = None if asset is None else Asset(asset)
        # A request has a source and a destination of its own, which are no addresses.
        self.source = _url(element, SOURCE, request)
        self.destination = _url(element, DESTINATION, request)

    @classmethod
    def read(cls, document: bytes | str) -> Self:
        """Read a document.

        Raises:
            ProtocolError: It is no XML.
        """
        content = document.encode() if isinstance(document, str) else document
        return cls(parse(content, name="the plugin data"))


def _levels(root: Element, without: Element | None = None) -> Iterator[Element]:
    """Yield all elements but those in `without`, the least deep first."""
    waiting = deque([root])
    while waiting:
        element = waiting.popleft()
        yield element
        # Of what stands in a metadata form nothing is a part.
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


def _is_linked(element: Element) -> Element | None:
    """Return the element that has the links: the part itself, or the entry in it."""
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
    """Return `message` without the characters that XML 1.0 has not (section 2.2, Char)."""
    return _NOT_XML.sub("", message)
