"""The shape of the data of each type of event, for type checkers and JSON Schemas.

    from flowtools.event import AssetData

    def start(self, event: Event) -> None:
        data: AssetData = event.data

The schemas in docs/schemas are made from these classes (schema.py), and tests compare them with
what the sources write. A later version may add members.
"""

from typing import Annotated, Any, NotRequired, TypedDict

Addresses = dict[str, str]
"""Addresses by relation, such as `self`, `edit`, `describedby`."""


class Keyword(TypedDict):
    """A keyword of an asset."""

    scheme: Annotated[str | None, "The vocabulary that it is of"]
    term: Annotated[str | None, "The word"]


class AssetData(TypedDict):
    """A change of an asset of Viz One; what a message does not say is null or empty."""

    id: Annotated[str | None, "Its id, an atom:id such as urn:vme:default:asset:121"]
    title: Annotated[str | None, "Its title"]
    identifiers: Annotated[dict[str, str], "Its identities by name"]
    status: Annotated[str | None, "Of its media: online, offline, importing, failed, new, empty"]
    media: Annotated[str | None, "The kind of its media: video, image, placeholder"]
    updated: Annotated[str | None, "When it was changed, as the entry says"]
    keywords: Annotated[list[Keyword], "Its keywords"]
    links: Annotated[Addresses, "Addresses by relation; describedby is the metadata"]
    headers: Annotated[dict[str, str], "Those of the message"]
    metadata: NotRequired[
        Annotated[dict[str, Any] | None, "With --metadata: fields by name; a table is a list"]
    ]
    xml: NotRequired[Annotated[str | None, "With --xml: the entry as text"]]


class FileData(TypedDict):
    """A change of an unmanaged file in an import storage of Viz One."""

    location: Annotated[str, "The handle of the storage"]
    name: Annotated[str | None, "Its name"]
    size: Annotated[int | None, "Bytes"]
    url: Annotated[str | None, "Its address, without a login"]
    updated: Annotated[str | None, "When it was changed, as the entry says"]
    id: Annotated[str | None, "The id of its entry"]
    links: Annotated[Addresses, "Addresses by relation"]
    headers: Annotated[dict[str, str], "Those of the message"]
    xml: NotRequired[Annotated[str | None, "With --xml: the entry as text"]]


class PathFile(TypedDict):
    """A file of this machine, in an event about several."""

    path: Annotated[str, "Its path; bytes that are not UTF-8 as in \\xe6"]
    name: Annotated[str, "Its path below the folder"]
    size: Annotated[int, "Bytes"]
    updated: Annotated[str | None, "When it was modified, RFC 3339; null where nothing is left"]
    url: Annotated[str, "Its file: URI, whatever bytes it has"]


class PathData(PathFile):
    """A change in a hot folder: a file, or files that belong together."""

    moved_from: Annotated[str | None, "The name that the same file had before"]
    reason: NotRequired[Annotated[str, "flow.path.stalled: why it is held back"]]
    sidecars: NotRequired[Annotated[list[PathFile], "With --sidecar: the files beside it"]]
    count: NotRequired[Annotated[int, "With --unit: how many files"]]
    files: NotRequired[Annotated[list[str], "With --unit: their names, where they are few"]]
    first: NotRequired[Annotated[int, "Of a sequence: the number of its first frame"]]
    last: NotRequired[Annotated[int, "Of a sequence: the number of its last frame"]]
    missing: NotRequired[Annotated[list[list[int]], "Of a sequence: first and last of each gap"]]


class StompData(TypedDict):
    """A message of a broker; it has one of `body` and `body_base64`."""

    headers: Annotated[dict[str, str], "Those of the message"]
    body: NotRequired[Annotated[Any, "A JSON value where the content type says JSON, else text"]]
    body_base64: NotRequired[Annotated[str, "Bytes that are not text in their charset, in Base64"]]


class TickData(TypedDict):
    """A tick of a schedule."""

    number: Annotated[int, "Which one it is, from 1"]
    skipped: Annotated[int, "How many were skipped before it, because the reader stood still"]


LineData = Annotated[Any, "The text of the line, or its JSON value; other bytes are data_base64"]
DocumentData = Annotated[str, "The text of the input; bytes that are not UTF-8 are data_base64"]
AnyData = Annotated[Any, "Any JSON value; bytes are data_base64"]

_KINDS = ("created", "updated", "deleted", "changed")

DATA: dict[str, Any] = {
    **{f"flow.asset.{kind}": AssetData for kind in _KINDS},
    **{f"flow.file.{kind}": FileData for kind in _KINDS},
    **{f"flow.path.{kind}": PathData for kind in ("created", "modified", "deleted", "stalled")},
    "flow.stomp.message": StompData,
    "flow.interval.tick": TickData,
    "flow.stdin.line": LineData,
    "flow.stdin.document": DocumentData,
    "flow.source.value": AnyData,
    "flow.work.result": AnyData,
    "flow.jq.result": AnyData,
}
"""The shape of an event's data, by the event's type."""
