"""What `start` used to get, and what answers were read into, by their old names."""

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Self

from lxml import etree

from flowtools.core.event import Event
from flowtools.vizone.asset import Asset, AtomCategory, group_permissions, set_group_permissions
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.document import Element, parse, serialise
from flowtools.vizone.files import UnmanagedFile as File
from flowtools.vizone.metadata import PAYLOAD_TYPE
from flowtools.vizone.metadata import Payload as Form
from flowtools.vizone.namespaces import ATOM, CORE, DCTERMS, MAM, MEDIA, MEDIA_TYPE, PREFIXES, VDF


def _root_of(answer: Any, name: str) -> Element:
    """Return the root of the XML in an answer, a message, bytes or text."""
    content = getattr(answer, "content", answer)
    content = content.encode() if isinstance(content, str) else content
    return parse(content, name=name, base=getattr(answer, "url", "") or "")


class Link:
    """A link.

    Attributes:
        href: Where it leads.
        metadata: The form that came with it, if one did.
    """

    def __init__(self, href: str | None, metadata: "Payload | None" = None) -> None:
        self.href = href
        self.metadata = metadata


class Payload:
    """Metadata: get, set, and how it is sent."""

    content_type = PAYLOAD_TYPE

    def __init__(self, answer: Any) -> None:
        """Read the form in an answer, bytes or text."""
        self.form = Form(_root_of(answer, "the metadata"))
        self.response_etag: str | None = getattr(answer, "etag", None)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a field."""
        found = self.form[name]
        return default if found is None else found

    def set(self, name: str, value: Any) -> None:
        """Set a field: text, a number, a date, or a term of a dictionary."""
        from flowtools.multiparser import as_text

        origin = getattr(value, "origin", None)
        self.form.set(name, as_text(value), origin if isinstance(origin, tuple) else None)

    def generate(self) -> bytes:
        """Return it as a document."""
        return serialise(self.form.element)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Payload) and _canonical(self) == _canonical(other)

    __hash__ = None  # type: ignore[assignment]


def _canonical(payload: Payload) -> bytes:
    return bytes(etree.tostring(payload.form.element, method="c14n"))


class _Linked:
    """An entry whose links are attributes: `self_link`, `import_unmanaged_link` and so on."""

    content_type = ENTRY_TYPE
    entry: Asset

    def __getattr__(self, name: str) -> Any:
        if not name.endswith("_link"):
            raise AttributeError(name)
        rel = name.removesuffix("_link").replace("_", "-")
        href = self.entry.link(rel)
        if rel == "edit" or (rel == "delete" and href is None):
            href = self.entry.link(rel, "edit", "self")
        inlined = self.entry.inlined(rel)
        if href is None and inlined is None:
            return None
        is_form = inlined is not None and inlined.tag == f"{{{VDF}}}payload"
        return Link(href, Payload(serialise(inlined)) if is_form and inlined is not None else None)

    @property
    def title(self) -> str | None:
        """Its title."""
        return self.entry.title

    @property
    def atomid(self) -> str | None:
        """Its atom:id."""
        return self.entry.id

    def generate(self) -> bytes:
        """Return it as a document."""
        return serialise(self.entry.element)


class Acl:
    """Who may do what with an asset, or with its media."""

    def __init__(self, element: Element, kind: str) -> None:
        self.element = element
        self.kind = kind

    @property
    def groupentries(self) -> list[SimpleNamespace]:
        """A line for each group: name, read, write, admin."""
        return [
            SimpleNamespace(name=name, **{r: r in rights for r in ("read", "write", "admin")})
            for name, rights in group_permissions(self.element, self.kind).items()
        ]

    def set_group(self, name: str, rights: set[str]) -> bool:
        """Set what a group may do; return whether that is a change."""
        given = (rights, None) if self.kind == "asset" else (None, rights)
        return set_group_permissions(self.element, name, *given)


class Item(_Linked):
    """An asset."""

    def __init__(self, answer: Any = None, id: str | None = None, title: str | None = None) -> None:
        """Read the entry in an answer, a message, bytes or text; or make one with an id."""
        if answer is not None:
            self.parse(answer)
            return
        element = etree.Element(f"{{{ATOM}}}entry", nsmap=PREFIXES)
        etree.SubElement(element, f"{{{ATOM}}}title").text = title or id
        if id is not None:
            etree.SubElement(element, f"{{{DCTERMS}}}identifier").text = id
        self.entry = Asset(element)

    def parse(self, answer: Any) -> Self:
        """Become what an answer says."""
        self.entry = Asset(_root_of(answer, "the asset"))
        self.response_etag = getattr(answer, "etag", None)
        return self

    @property
    def id(self) -> str | None:
        """Its site identity, or its number."""
        return self.entry.identifier or self.entry.identifiers.get("id") or self.entry.id

    @property
    def assetmediatype(self) -> str | None:
        """The kind of its media; placeholder where there is none."""
        return self.entry.media

    @property
    def mediastatus(self) -> str | None:
        """The state of its media."""
        return self.entry.status

    @property
    def keywords(self) -> list[AtomCategory]:
        """Its categories."""
        return self.entry.keywords

    @keywords.setter
    def keywords(self, keywords: Sequence[tuple[str | None, str]]) -> None:
        self.entry.keywords = keywords

    @property
    def acl(self) -> Acl:
        """Who may do what with it."""
        return Acl(self.entry.element, "asset")

    @property
    def mediaacl(self) -> Acl:
        """Who may do what with its media."""
        return Acl(self.entry.element, "media")


class UnmanagedFile(_Linked):
    """A file in an import storage."""

    def __init__(self, answer: Any) -> None:
        element = answer if isinstance(answer, Element) else _root_of(answer, "the file")
        self.entry = Asset(element)

    @property
    def id(self) -> str | None:
        """Its atom:id."""
        return self.entry.id

    @property
    def media(self) -> SimpleNamespace:
        """Its url, and its filesize in bytes."""
        file = File(self.entry.element)
        return SimpleNamespace(url=file.url, filesize=file.size)


class UnmanagedFileCollection:
    """The files in an answer or a message."""

    def __init__(self, answer: Any) -> None:
        self._root = _root_of(answer, "the files")
        self.entries = [UnmanagedFile(each) for each in self._root.iter(f"{{{ATOM}}}entry")]

    def __iter__(self) -> Iterator[UnmanagedFile]:
        return iter(self.entries)


class UriList:
    """A list of addresses."""

    content_type = "text/uri-list"

    def __init__(self, uris: Sequence[Any]) -> None:
        self.uris = [getattr(each, "href", each) for each in uris]

    def generate(self) -> bytes:
        """Return it as it is sent."""
        return "".join(f"{each}\n" for each in self.uris).encode()


class Message:
    """A message of a STOMP broker.

    Attributes:
        headers: Its headers.
        content: Its body.
    """

    def __init__(self, headers: Any, content: bytes | str) -> None:
        self.headers = headers
        self.content = content


def old_object(event: Event) -> Any:
    """Return what `start` of the older Flow got for such an event."""
    if event.type.startswith("flow.asset."):
        return Item(_asset_entry(event))
    if event.type.startswith("flow.file."):
        return UnmanagedFile(_file_entry(event))
    if event.type == "flow.stomp.message":
        return Message(event.get("headers", {}), event.get("body", ""))
    return None if event.type == "flow.interval.tick" else event.data


def _entry(event: Event) -> Element:
    entry = etree.Element(f"{{{ATOM}}}entry", nsmap=PREFIXES)
    for name in ("id", "updated"):
        if event.get(name):
            etree.SubElement(entry, f"{{{ATOM}}}{name}").text = event[name]
    for rel, href in event.get("links", {}).items():
        etree.SubElement(entry, f"{{{ATOM}}}link", rel=rel, href=href)
    return entry


def _asset_entry(event: Event) -> bytes:
    entry = _entry(event)
    # However the message said so: a tombstone has no more than an atom:id.
    is_deleted = event.type == "flow.asset.deleted"
    for namespace, name, said in (
        (ATOM, "title", event.get("title")),
        (MAM, "mediastatus", "deleted" if is_deleted else event.get("status")),
        (MEDIA_TYPE, "media", event.get("media")),
    ):
        if said:
            etree.SubElement(entry, f"{{{namespace}}}{name}").text = said
    for name, said in event.get("identifiers", {}).items():
        if name == "identifier":
            etree.SubElement(entry, f"{{{DCTERMS}}}identifier").text = said
        else:
            etree.SubElement(entry, f"{{{CORE}}}ardomeIdentity", name=name).text = said
    for each in event.get("keywords", ()):
        given = {name: said for name, said in each.items() if said is not None}
        etree.SubElement(entry, f"{{{ATOM}}}category", given)
    return serialise(entry)


def _file_entry(event: Event) -> Element:
    entry = _entry(event)
    if event.get("name"):
        etree.SubElement(entry, f"{{{ATOM}}}title").text = event["name"]
    media = etree.SubElement(entry, f"{{{MEDIA}}}content")
    for name, key in (("url", "url"), ("fileSize", "size")):
        if event.get(key) is not None:
            media.set(name, str(event[key]))
    return entry
