"""One event that failed for good, as the failed file and a dead-letter queue keep it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from flowtools.core.times import instant
from flowtools.pool.failed import ATTEMPTS, ERROR, FAILED_AT, LINE, LINE_BASE64

UNKNOWN = "unknown: the event does not say why it failed"
"""The error of an event without `flowerror`, such as a message that a program rejected."""


@dataclass(frozen=True)
class Record:
    """One failed event.

    Attributes:
        line: Its bytes in the failed file, without the line's end.
        attributes: The JSON object of the line; empty where the line is not one.
        key: What its store recognises it by; empty where that is made of the line.
    """

    line: bytes
    attributes: dict[str, Any]
    key: bytes = b""

    @property
    def error(self) -> str:
        """Why it failed, in one line of text."""
        return self._text(ERROR) or UNKNOWN

    @property
    def attempts(self) -> int | None:
        """How many attempts it had; None where that is not known."""
        found = self.attributes.get(ATTEMPTS)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def id(self) -> str:
        """The event's id, or an empty text."""
        return self._text("id")

    @property
    def source(self) -> str:
        """The event's source, or an empty text."""
        return self._text("source")

    @property
    def type(self) -> str:
        """The event's type, or "not an event" for a line that could not be read as one."""
        if self.is_refused:
            return "not an event"
        return self._text("type")

    @property
    def subject(self) -> str:
        """The event's subject, or an empty text."""
        return self._text("subject")

    @property
    def is_refused(self) -> bool:
        """Whether it keeps an input line that was not an event, which no replay can run."""
        return (
            "type" not in self.attributes
            or LINE in self.attributes
            or LINE_BASE64 in self.attributes
        )

    @cached_property
    def failed_at(self) -> float | None:
        """When it failed, in seconds since the epoch; before 1.0 it was not recorded: None."""
        return instant(self._text(FAILED_AT))

    def _text(self, name: str) -> str:
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""


def read_record(line: bytes) -> Record | None:
    """Return the record of a `line` of the failed file; None where there is nothing on it.

    A line that is not a JSON object, such as a piece that a loss of power has left, becomes
    a record without attributes: it is shown and can be dropped, and is never replayed.
    """
    line = line.rstrip(b"\r\n")
    if not line.strip(b" \t\0"):
        return None
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return Record(line, {ERROR: "the line is not a JSON object"})
    return Record(line, value)
