"""An entry as old code holds it: read, changed in place, and put back whole.

Where the document comes from decides how it is put back:

- It was read from an answer. The answer's etag goes along with a PUT; what somebody else has
  changed since is a conflict, as ever.
- A message carried it. It may be older than what the server has, and it has no etag as a
  rule. Before a PUT the entry is read again, and what was changed in the copy is changed in
  that one (`merge`); the PUT is conditional on its etag.
- The event has no document: it came through a pipe without `--xml`, or the message had none.
  What the event says can be read. For anything more, and before any change, the entry is
  fetched; where it cannot be, that is an error. A PUT of what the event says alone would wipe
  all that it does not say, such as the access control lists.
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
"""Reads the entry at an address: an answer with `content`, `etag` and `url`."""

_INLINE = f"{{{ATOM}}}inline"


class Document(Described):
    """An entry whose links are attributes: `self_link`, `import_unmanaged_link` and so on.

    Only what is part of the document can be assigned; any other name raises AttributeError.

    Attributes:
        response_etag: Its etag, where one is known.
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
            ProtocolError: It is not XML.
        """
        self.parse(answer)

    @classmethod
    def received(
        cls, element: Element, etag: str | None, fetch: Fetch, *, is_whole: bool = True
    ) -> Self:
        """Return what an event says of an entry.

        Args:
            element: The entry as the message carried it; or what the event says of it.
            etag: Its etag, where the message says it.
            fetch: Reads it from the server.
            is_whole: `element` is the document that the message carried.
        """
        made = cls.__new__(cls)
        made.take(element, etag, fetch, is_whole=is_whole)
        return made

    def take(self, element: Element, etag: str | None, fetch: Fetch, *, is_whole: bool) -> None:
        """Become what an event says; see `received`."""
        self._become(element, etag, base=deepcopy(element))
        self._fetch, self._is_whole = fetch, is_whole

    def stand_on(self, element: Element) -> None:
        """Become what `element` says; what is set is set in it."""
        self._become(element, None, base=None)

    def parse(self, answer: Any) -> Self:
        """Become what an answer, a message, bytes or text says; return itself."""
        from flowtools.compat.message import Message

        root = root_of(answer, self.NAME)
        is_message = isinstance(answer, Message)
        etag = answer.headers.get("etag") if is_message else getattr(answer, "etag", None)
        self._become(root, etag, base=deepcopy(root) if is_message else None)
        return self

    def generate(self) -> bytes:
        """Return the document.

        Raises:
            ConfigurationError: The event did not carry it, and it cannot be fetched.
            FlowError: As the client.
        """
        self._ensure_whole()
        return serialise(self._element)

    def for_put(self) -> bytes:
        """Return the document without what the server has put into its links."""
        self._ensure_whole()
        return as_sent(self._element)

    def is_at(self, url: str) -> bool:
        """Return whether `url` is where this entry itself is read or written."""
        return url in (self.entry.edit_link, self.entry.self_link)

    def changes(self) -> tuple[Element, Element] | None:
        """Return the entry as its message carried it, and as it is now; None: no message did."""
        self._ensure_whole()
        return None if self._base is None else (self._base, self._element)

    def stored(self, element: Element, etag: str | None) -> None:
        """Become what the server has stored of it, and go on from there."""
        self._become(element, etag, base=deepcopy(element) if self._base is not None else None)

    @property
    def entry(self) -> Asset:
        """The same as flowtools.vizone has it."""
        return Asset(self._element, self.response_etag)

    @property
    def atomid(self) -> str | None:
        """Its atom:id."""
        return self.entry.id

    @property
    def title(self) -> str | None:
        """Its title."""
        return self.entry.title

    @title.setter
    def title(self, title: str) -> None:
        self._say("title", ATOM, title)

    @property
    def updated(self) -> str | None:
        """When it last changed, as the server wrote it."""
        return self.entry.updated

    def __getattr__(self, name: str) -> Any:
        if not name.endswith("_link") or name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no '{name}' that flowtools.compat knows of; what the"
                " document says beside that is in .entry.element"
            )
        rel = normalise_rel(name.removesuffix("_link"))
        if rel not in self._links:
            found = self._link(rel)
            if found is None:
                return None
            self._links[rel] = found
        return self._links[rel]

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name) and name not in _OWN:
            raise AttributeError(
                f"cannot set '{name}' of {type(self).__name__}: flowtools.compat does not know"
                " which part of the document that is, so it would be lost; see .entry.element"
            )
        object.__setattr__(self, name, value)

    def _become(self, element: Element, etag: str | None, *, base: Element | None) -> None:
        self._element, self._base, self.response_etag = element, base, etag
        self._fetch, self._is_whole, self._links = None, True, {}

    def _link(self, rel: str) -> Link | None:
        href = self.entry.link(rel)
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
        """Fetch the document, where the event did not carry it."""
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
        """Set the text of a child of the entry; None takes it away."""
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
    """Return the entry as a document without what stands in its links."""
    alone = deepcopy(element)
    for link in alone.iterchildren(f"{{{ATOM}}}link"):
        # It has an address and an etag of its own, and is written there.
        for each in link.findall(_INLINE):
            link.remove(each)
    return serialise(alone)
