"""An entry as old code uses it: read, changed in place, and put back whole.

How a PUT is made depends on where the document came from:

- From an answer of the server. The PUT is conditional on the answer's etag: if somebody else has
  changed the entry since, that is a conflict.
- From a message. The document may be older than the stored entry, and usually has no etag. Before
  the PUT the stored entry is read, the changes of the copy are applied to it (`merge`), and the PUT
  is conditional on the etag of what was read.
- From an event without a document: it came through a pipe without `--xml`, or the message had no
  document. What the event says can be read from a document made from it (`received`). For
  anything else, and before any change, the entry is fetched; if that fails, an error is raised.
  A PUT of what the event says would wipe everything else, such as the access control lists.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, Self

from flowtools.compat.answers import root_of
from flowtools.compat.links import Link
from flowtools.core.described import Described
from flowtools.core.errors import ConfigurationError
from flowtools.vizone.asset import Asset
from flowtools.vizone.atom import ENTRY_TYPE, normalise_rel
from flowtools.vizone.document import Element, child, parse, serialise
from flowtools.vizone.namespaces import ATOM

Fetch = Callable[[str], Any]
"""Reads the entry at an address; returns an answer with `content`, `etag` and `url`."""

_INLINE = f"{{{ATOM}}}inline"


class Document(Described):
    """An entry whose links are attributes: `self_link`, `import_unmanaged_link` and so on.

    Assigning an attribute that is not part of the document raises AttributeError.

    Attributes:
        response_etag: Etag of the entry, if one is known.
    """

    FACTS = ("atomid", "id", "title")

    content_type: ClassVar[str] = ENTRY_TYPE
    NAME: ClassVar[str] = "the entry"

    _element: Element
    _base: Element | None
    _fetch: Fetch | None
    _is_whole: bool
    _links: dict[str, Link]
    response_etag: str | None

    def __init__(self, answer: Any) -> None:
        """Read the entry in an answer, a message, bytes or text.

        Raises:
            ProtocolError: The content is not XML.
        """
        self.parse(answer)

    @classmethod
    def received(
        cls, element: Element, etag: str | None, fetch: Fetch, *, is_whole: bool = True
    ) -> Self:
        """Return the object for the entry of an event.

        Args:
            element: The document that the message carried, or one made from what the event says.
            etag: Etag of the entry, if the message has it.
            fetch: Reads the entry from the server.
            is_whole: Whether `element` is the document that the message carried.
        """
        # Without __init__, which would parse an answer.
        made = cls.__new__(cls)
        made.take(element, etag, fetch, is_whole=is_whole)
        return made

    def take(self, element: Element, etag: str | None, fetch: Fetch, *, is_whole: bool) -> None:
        """Take the entry of an event; arguments as for `received`."""
        self._become(element, etag, base=deepcopy(element))
        self._fetch, self._is_whole = fetch, is_whole

    def stand_on(self, element: Element) -> None:
        """Take an entry that is part of a larger document; changes are made in `element` itself."""
        self._become(element, None, base=None)

    def parse(self, answer: Any) -> Self:
        """Take the entry in an answer, a message, bytes or text; return this object.

        Old code calls this on the object that it has, after a POST or PUT.

        Raises:
            ProtocolError: The content is not XML.
        """
        from flowtools.compat.message import Message

        root = root_of(answer, self.NAME)
        is_message = isinstance(answer, Message)
        etag = answer.headers.get("etag") if is_message else getattr(answer, "etag", None)
        # A base is what the entry looked like before changes: only a message's is merged later.
        self._become(root, etag, base=deepcopy(root) if is_message else None)
        return self

    def generate(self) -> bytes:
        """Return the document as bytes.

        Raises:
            ConfigurationError: The event did not carry the document, and no client can fetch it.
            FlowError: The server refused it, failed or could not be reached.
        """
        self._ensure_whole()
        return serialise(self._element)

    def for_put(self) -> bytes:
        """Return the document as bytes, without what the server has inlined into its links."""
        self._ensure_whole()
        return as_sent(self._element)

    def is_at(self, url: str) -> bool:
        """Return whether `url` is the address of this entry itself."""
        return url in (self.entry.edit_link, self.entry.self_link)

    def changes(self) -> tuple[Element, Element] | None:
        """Return the entry as its message carried it, and as it is now; None without a message."""
        self._ensure_whole()
        return None if self._base is None else (self._base, self._element)

    def stored(self, element: Element, etag: str | None) -> None:
        """Take the entry as the server stored it, as the base of further changes."""
        self._become(element, etag, base=deepcopy(element) if self._base is not None else None)

    @property
    def entry(self) -> Asset:
        """The entry as an Asset of flowtools.vizone."""
        return Asset(self._element, self.response_etag)

    @property
    def atomid(self) -> str | None:
        """The atom:id."""
        return self.entry.id

    @property
    def title(self) -> str | None:
        """The title."""
        return self.entry.title

    @title.setter
    def title(self, title: str) -> None:
        self._say("title", ATOM, title)

    @property
    def updated(self) -> str | None:
        """The time of the last change, as the server wrote it."""
        return self.entry.updated

    def __getattr__(self, name: str) -> Any:
        if not name.endswith("_link") or name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no '{name}' in flowtools.compat; read other parts of"
                " the document from .entry.element"
            )
        rel = normalise_rel(name.removesuffix("_link"))
        # Kept, so that metadata that is assigned to a link is there at the next access.
        if rel not in self._links:
            found = self._link(rel)
            if found is None:
                return None
            self._links[rel] = found
        return self._links[rel]

    def __setattr__(self, name: str, value: Any) -> None:
        # Items of python-one had more attributes than these. Any other name would seem to be set,
        # and would be missing in the document that is sent.
        if not hasattr(type(self), name) and name not in _OWN:
            raise AttributeError(
                f"cannot set '{name}' of {type(self).__name__}: flowtools.compat does not know"
                " that part of the document, so the value would be lost; change .entry.element"
            )
        object.__setattr__(self, name, value)

    def _become(self, element: Element, etag: str | None, *, base: Element | None) -> None:
        self._element, self._base, self.response_etag = element, base, etag
        self._fetch, self._is_whole, self._links = None, True, {}

    def _link(self, rel: str) -> Link | None:
        href = self.entry.link(rel)
        # A real server may have no link for editing or deleting: the next best is used.
        if rel == "edit" or (rel == "delete" and href is None):
            href = self.entry.link(rel, "edit", "self")
        found = [
            each
            for each in self._element.iterchildren(f"{{{ATOM}}}link")
            if normalise_rel(each.get("rel", "alternate")) == rel
        ]
        inlined = [each for each in found if child(each, "inline", ATOM) is not None]
        if href is None and not inlined:
            return None
        return Link(href, next(iter([*inlined, *found]), None))

    def _ensure_whole(self) -> None:
        """Fetch the document if the event did not carry it."""
        if self._is_whole:
            return
        name = self.entry.id or self.title or "an entry"
        url = self.entry.self_link
        if self._fetch is None or url is None:
            raise ConfigurationError(f"cannot read '{name}': its event carries no document")
        try:
            answer = self._fetch(url)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"cannot change or send '{name}': its event carries no document, and it cannot be"
                f" fetched: {error}; or listen with --xml"
            ) from error
        root = parse(answer.content, name=self.NAME, base=answer.url)
        self._become(root, answer.etag, base=deepcopy(root))

    def _say(self, local: str, namespace: str, said: str | None) -> None:
        """Set the text of a child of the entry; None removes the child."""
        from lxml import etree

        self._ensure_whole()
        found = child(self._element, local, namespace)
        if said is None:
            if found is not None:
                self._element.remove(found)
            return
        if found is None:
            found = etree.SubElement(self._element, f"{{{namespace}}}{local}")
        found.text = said


_OWN = frozenset(Document.__annotations__)


def as_sent(element: Element) -> bytes:
    """Return the entry as a document without inlined documents."""
    alone = deepcopy(element)
    for link in alone.iterchildren(f"{{{ATOM}}}link"):
        # What is inlined, such as metadata, has an address and an etag of its own; sent here it
        # could overwrite a newer version.
        for each in link.findall(_INLINE):
            link.remove(each)
    return serialise(alone)
