"""Public names: the event, and what makes one from a line."""

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

__all__ = [
    "Event",
    "EventError",
    "NotAnEvent",
    "decode",
    "digest",
    "now",
    "parse",
    "rfc3339",
    "wrap",
]
