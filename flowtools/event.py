"""Public names: the event, what makes one from a line, and what its data holds by its type."""

from flowtools.core.event import (
    Event,
    EventError,
    NotAnEvent,
    decode,
    digest,
    now,
    parse,
    rfc3339,
    wrap,
)
from flowtools.core.shapes import (
    AssetData,
    FileData,
    Keyword,
    PathData,
    PathFile,
    StompData,
    TickData,
)

__all__ = [
    "AssetData",
    "Event",
    "EventError",
    "FileData",
    "Keyword",
    "NotAnEvent",
    "PathData",
    "PathFile",
    "StompData",
    "TickData",
    "decode",
    "digest",
    "now",
    "parse",
    "rfc3339",
    "wrap",
]
