"""An asset as the stand-in knows it."""

from dataclasses import dataclass

Permission = tuple[str, str, tuple[str, ...]]
"""One line of an access control list: "asset" or "media", name of the group, its rights."""


@dataclass(frozen=True)
class Asset:
    """One state of an asset. Immutable: a change makes a new object.

    Attributes:
        number: Number that the server gave it; text, as it may be larger than 2**53.
        title: Title.
        published: Time at which it was created, as Viz One writes it.
        updated: Time of the last change, in the same form.
        identifier: Site identity that a client chose (dcterms:identifier), if any.
        status: State of its media: empty, importing, online or deleted.
        media: Kind of its media; "placeholder" until media has arrived.
        keywords: Pairs of scheme and term.
        revision: Counts the changes of its entry, for the etag.
        payload: Metadata as an XML document (VDF).
        payload_revision: Counts the changes of the metadata, for their etag.
        permissions: Lines of both access control lists.
        upload_task: Id of the import that filled, or is filling, the placeholder.
        content: Bytes of its media; None if it has none.
    """

    number: str
    title: str
    published: str
    updated: str
    identifier: str | None = None
    status: str = "online"
    media: str = "video"
    keywords: tuple[tuple[str, str], ...] = ()
    revision: int = 1
    payload: bytes = b""
    payload_revision: int = 0
    permissions: tuple[Permission, ...] = ()
    upload_task: str | None = None
    content: bytes | None = None

    @property
    def urn(self) -> str:
        """The atom:id."""
        return f"urn:vme:default:asset:{self.number}"

    @property
    def etag(self) -> str:
        """The etag of the entry."""
        return f'"{self.number}-{self.revision}"'

    @property
    def payload_etag(self) -> str:
        """The etag of the metadata, which changes independently of the entry."""
        return f'"{self.number}-m{self.payload_revision}"'
