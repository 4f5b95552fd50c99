"""An asset as the stand-in knows it."""

from dataclasses import dataclass

Permission = tuple[str, str, tuple[str, ...]]
"""A line of an access control list: "asset" or "media", the group, its rights."""


@dataclass(frozen=True)
class Asset:
    """An asset as it is at one time; a change makes another."""

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
        """Its atom:id."""
        return f"urn:vme:default:asset:{self.number}"

    @property
    def etag(self) -> str:
        """The etag of its entry."""
        return f'"{self.number}-{self.revision}"'

    @property
    def payload_etag(self) -> str:
        """The etag of its metadata."""
        return f'"{self.number}-m{self.payload_revision}"'
