"""The shape of the data of each type of event, for type checkers and JSON Schemas.

    from flowtools.event import AssetData

    def start(self, event: Event) -> None:
        data: AssetData = event.data

schema.py makes the schemas in docs/schemas from these classes, and tests compare the schemas with
what the sources write. A member marked NotRequired is absent unless its condition holds. A later
version may add members.
"""

from typing import Annotated, Any, NotRequired, TypedDict

Addresses = dict[str, str]
"""URLs by link relation, such as `self`, `edit`, `describedby` (RFC 8288)."""


class Keyword(TypedDict):
    """A keyword of an asset."""

    scheme: Annotated[str | None, "URI of the vocabulary that the word comes from"]
    term: Annotated[str | None, "The word itself"]


class AssetData(TypedDict):
    """A change of an asset in Viz One; a member that the message does not give is null or empty."""

    id: Annotated[str | None, "Id of the asset, an atom:id such as urn:vme:default:asset:121"]
    title: Annotated[str | None, "Title of the asset"]
    identifiers: Annotated[dict[str, str], "Other ids of the asset, by the name of their kind"]
    status: Annotated[
        str | None, "State of the media: online, offline, importing, failed, new, empty"
    ]
    media: Annotated[str | None, "Kind of the media: video, image, placeholder"]
    updated: Annotated[str | None, "Time of the change, as the asset's Atom entry gives it"]
    keywords: Annotated[list[Keyword], "Keywords of the asset"]
    links: Annotated[Addresses, "URLs by link relation; describedby leads to the metadata"]
    headers: Annotated[dict[str, str], "STOMP headers of the message"]
    metadata: NotRequired[
        Annotated[
            dict[str, Any] | None,
            "Only with --metadata: values by field name; a table is a list of objects",
        ]
    ]
    xml: NotRequired[Annotated[str | None, "Only with --xml: the asset's Atom entry, as text"]]


class FileData(TypedDict):
    """A change of an unmanaged file in an import storage of Viz One."""

    location: Annotated[str, "Handle of the import storage"]
    name: Annotated[str | None, "Name of the file"]
    size: Annotated[int | None, "Size of the file, in bytes"]
    url: Annotated[str | None, "URL of the file, without user and password"]
    updated: Annotated[str | None, "Time of the change, as the file's Atom entry gives it"]
    id: Annotated[str | None, "Id of the file's Atom entry"]
    links: Annotated[Addresses, "URLs by link relation"]
    headers: Annotated[dict[str, str], "STOMP headers of the message"]
    xml: NotRequired[Annotated[str | None, "Only with --xml: the file's Atom entry, as text"]]


class PathFile(TypedDict):
    """A file on this machine."""

    path: Annotated[str, "Path of the file; bytes that are not UTF-8 are written as in \\xe6"]
    name: Annotated[str, "Path of the file relative to the watched folder"]
    size: Annotated[int, "Size of the file, in bytes"]
    updated: Annotated[
        str | None, "Time of the last modification, RFC 3339; null if no file is left"
    ]
    url: Annotated[str, "file: URI, which is exact whatever bytes the path has (RFC 8089)"]


class PathData(PathFile):
    """A change in a watched folder: of one file, or of several files that belong together."""

    moved_from: Annotated[str | None, "Earlier name of the same file; null if it was not moved"]
    reason: NotRequired[
        Annotated[str, "Only for flow.path.stalled: why the file is not reported as complete"]
    ]
    sidecars: NotRequired[
        Annotated[list[PathFile], "Only with --sidecar: the files that belong to this one"]
    ]
    count: NotRequired[Annotated[int, "Only with --unit: number of files"]]
    files: NotRequired[
        Annotated[list[str], "Only with --unit: names of the files, if there are at most 100"]
    ]
    first: NotRequired[Annotated[int, "Only for a sequence: number of its first frame"]]
    last: NotRequired[Annotated[int, "Only for a sequence: number of its last frame"]]
    missing: NotRequired[
        Annotated[
            list[list[int]],
            "Only for a sequence: first and last missing frame of each gap, at most 100 gaps",
        ]
    ]


class StompData(TypedDict):
    """A message from a broker, with either `body` or `body_base64`."""

    headers: Annotated[dict[str, str], "STOMP headers of the message"]
    body: NotRequired[
        Annotated[Any, "Body of the message: a JSON value if its content type is JSON, else text"]
    ]
    body_base64: NotRequired[
        Annotated[str, "Body of the message in Base64, if it is not text in its charset"]
    ]


class TickData(TypedDict):
    """A tick of a schedule."""

    number: Annotated[int, "Number of the tick, from 1"]
    skipped: Annotated[
        int, "Number of ticks skipped before this one, because the reader had not read the last"
    ]


LineData = Annotated[
    Any, "Text of the line, or its JSON value; a line that is not UTF-8 is in data_base64"
]
DocumentData = Annotated[str, "Text of the whole input; if it is not UTF-8, it is in data_base64"]
AnyData = Annotated[Any, "Any JSON value; a value of type bytes is in data_base64"]

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
