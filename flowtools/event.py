"""Public names: the event, and what makes one from a line."""

from flowtools.core.event import Event, EventError, decode, digest, now, rfc3339

__all__ = ["Event", "EventError", "decode", "digest", "now", "rfc3339"]
