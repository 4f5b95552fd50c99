"""XML documents for import storages and the files in them.

No document of a real server for these is public: element names are those of related documents,
and addresses and URNs are made up (docs/conformance.md).
"""

from collections.abc import Sequence
from urllib.parse import quote

from flowtools.sim.documents import EPOCH
from flowtools.sim.storages import File
from flowtools.sim.xml import add, link, root, serialise
from flowtools.vizone.atom import ENTRY_TYPE, FEED_TYPE
from flowtools.vizone.document import Element
from flowtools.vizone.namespaces import ATOM, DCTERMS, MAM, MEDIA, TOMBSTONE


def locations(handles: Sequence[str], base: str) -> bytes:
    """Return the feed of the import storages."""
    document = root(ATOM, "feed")
    add(document, ATOM, "id", "urn:vme:default:unmanaged")
    add(document, ATOM, "title", "Unmanaged files")
    add(document, ATOM, "updated", EPOCH)
    for handle in handles:
        entry = add(document, ATOM, "entry")
        add(entry, ATOM, "id", f"urn:vme:default:storage:{handle}")
        add(entry, ATOM, "title", f"Import storage {handle}")
        add(entry, ATOM, "updated", EPOCH)
        add(entry, DCTERMS, "identifier", handle)
        link(entry, "down", f"{base}{location_path(handle)}", FEED_TYPE)
    return serialise(document)


def location_path(handle: str) -> str:
    """Return the path of an import storage's feed."""
    return f"/api/media/unmanaged/{quote(handle, safe='')}"


def file_urn(file: File) -> str:
    """Return the atom:id of a file."""
    return f"urn:vme:default:unmanaged:{file.location}:{quote(file.name, safe='')}"


def file_path(file: File) -> str:
    """Return the path of a file's entry."""
    return f"{location_path(file.location)}/{quote(file.name, safe='')}"


def file_entry(file: File, base: str, *, deleted: bool = False) -> Element:
    """Return the entry of an unmanaged file; `deleted` gives it the media status "deleted"."""
    href = f"{base}{file_path(file)}"
    content = f"{base}/files/{quote(file.location, safe='')}/{quote(file.name, safe='')}"
    document = root(ATOM, "entry")
    add(document, ATOM, "id", file_urn(file))
    add(document, ATOM, "title", file.name)
    add(document, ATOM, "updated", file.updated)
    if deleted:
        add(document, MAM, "mediastatus", "deleted")
    link(document, "self", href, ENTRY_TYPE)
    link(document, "delete", href)
    add(
        document,
        MEDIA,
        "content",
        url=content,
        fileSize=str(len(file.content)),
        type="application/octet-stream",
    )
    return document


def file_feed(
    files: Sequence[File],
    location: str,
    base: str,
    monitor: str,
    *,
    tombstones: Sequence[File] = (),
    marked: bool = False,
    links: dict[str, str] | None = None,
) -> bytes:
    """Return a page of an import storage's feed, or the body of a message about files.

    Args:
        files: Files with an entry in the feed.
        location: Handle of the import storage.
        base: URL that links start with.
        monitor: STOMP URL of the storage's monitor link.
        tombstones: Deleted files to report.
        marked: Whether `files` have the media status "deleted".
        links: Further links of the feed, addresses by relation.
    """
    document = root(ATOM, "feed")
    add(document, ATOM, "id", f"urn:vme:default:unmanaged:{location}")
    add(document, ATOM, "title", location)
    add(document, ATOM, "updated", max((each.updated for each in files), default=EPOCH))
    link(document, "self", f"{base}{location_path(location)}", FEED_TYPE)
    link(document, "monitor", monitor)
    for rel, href in (links or {}).items():
        link(document, rel, href, FEED_TYPE)
    for each in tombstones:
        add(document, TOMBSTONE, "deleted-entry", ref=file_urn(each), when=each.updated)
    document.extend(file_entry(each, base, deleted=marked) for each in files)
    return serialise(document)
