"""Uploading: the bytes of an asset's media, by either of the two ways a server may offer."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

from flowtools.core.errors import ProtocolError
from flowtools.vizone.atom import Entry
from flowtools.vizone.atompub import AtomPub
from flowtools.vizone.body import Body, Stream

BYTES = "application/octet-stream"

CHUNK = 1 << 20
"""Bytes that are read, and sent, at a time."""

Way = Literal["edit-media", "upload"]
Content = bytes | str | Path | BinaryIO


def upload(
    client: AtomPub, asset: Entry, content: Content, way: Way | None = None, type: str = BYTES
) -> None:
    """Send `content` as the media of `asset`; a file of any size takes little memory.

    Args:
        client: Where to.
        asset: The asset, a placeholder.
        content: The bytes, the path of a file, or a file open for reading bytes that can
            be read again.
        way: "edit-media": PUT to that link. "upload": ask for an address first, PUT there.
            None: the first where there is such a link, else the second.
        type: The media type of the content.

    Raises:
        ProtocolError: The server names no address.
        OSError: The file cannot be read.
    """
    edit_media = asset.link("edit-media")
    if way is None:
        way = "upload" if edit_media is None else "edit-media"
    where = asset.follow("edit-media") if way == "edit-media" else _ask(client, asset)
    client.request("PUT", where, body=_body(content), content_type=type)


def _ask(client: AtomPub, asset: Entry) -> str:
    # Where no link says it, this address of an item is public.
    asking = asset.link("upload") or asset.follow("edit", "self") + "/upload"
    answer = client.request("PUT", asking, body=b"")
    location = answer.headers.get("Location")
    if not location:
        raise ProtocolError(f"cannot upload to '{asking}': the answer has no Location")
    return str(answer.resolve(location))


def _body(content: Content) -> Body:
    if isinstance(content, bytes):
        return content
    if isinstance(content, str | Path):
        path = Path(content)
        return Stream(path.stat().st_size, lambda: _chunks_of(path))
    start = content.tell()
    length = content.seek(0, 2) - start

    def again() -> Iterator[bytes]:
        content.seek(start)
        return iter(lambda: content.read(CHUNK), b"")

    return Stream(length, again)


def _chunks_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(CHUNK), b"")
