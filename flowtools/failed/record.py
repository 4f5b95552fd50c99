"""One event that failed permanently, as a failed file or a dead-letter queue keeps it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from flowtools.core.cloudevents import complaint
from flowtools.core.times import instant
from flowtools.pool.failed import ATTEMPTS, ERROR, FAILED_AT, LINE, LINE_BASE64, kept_line

UNKNOWN = "unknown: the event does not say why it failed"
"""The error of an event without `flowerror`, such as a message that a program rejected."""


@dataclass(frozen=True)
class Record:
    """One failed event.

    Attributes:
        line: The bytes of the event, without a line end.
        attributes: The JSON object of the line. If the line is not one: the error and the line.
        key: The key that the store gave the event; empty if the key is made of the line.
        is_json: Whether the line is a JSON object.
    """

    line: bytes
    attributes: dict[str, Any]
    key: bytes = b""
    is_json: bool = True

    @property
    def error(self) -> str:
        """Why it failed, in one line of text."""
        return self._text(ERROR) or (f"not an event: {self.damage}" if self.damage else UNKNOWN)

    @property
    def attempts(self) -> int | None:
        """Number of attempts that it had; None if that is not known."""
        # JSON's true is an int in Python.
        found = self.attributes.get(ATTEMPTS)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    @property
    def id(self) -> str:
        """Id of the event; empty if it has none."""
        return self._text("id")

    @property
    def source(self) -> str:
        """Source of the event; empty if it has none."""
        return self._text("source")

    @property
    def type(self) -> str:
        """Type of the event; "not an event" for an input line that was not one."""
        return "not an event" if self.is_not_an_event else self._text("type")

    @property
    def subject(self) -> str:
        """Subject of the event; empty if it has none."""
        return self._text("subject")

    @property
    def is_not_an_event(self) -> bool:
        """Whether it is a line that cannot be replayed, because no Worker would get it as an event.

        This is an input line that was not an event, which flow-work keeps whole, or a line that
        something else has damaged.
        """
        return LINE in self.attributes or LINE_BASE64 in self.attributes or bool(self.damage)

    @cached_property
    def damage(self) -> str:
        """The first rule for events that the line breaks; empty if it breaks none."""
        return complaint(self.attributes) or ""

    @cached_property
    def failed_at(self) -> float | None:
        """Time of the failure, in seconds since the epoch; None if it is not recorded.

        Versions before 1.0 did not record it.
        """
        return instant(self._text(FAILED_AT))

    def _text(self, name: str) -> str:
        value = self.attributes.get(name)
        return value if isinstance(value, str) else ""


def read_record(line: bytes) -> Record | None:
    """Return the record of a `line` of the failed file; None if the line is empty.

    A line that is not a JSON object, such as a piece that a loss of power has left, becomes a
    record that is shown and can be dropped, but is never replayed: an object like those in which
    flow-work keeps input lines that are not events.
    """
    line = line.rstrip(b"\r\n")
    # A loss of power may also leave a run of zero bytes at the end of a file.
    if not line.strip(b" \t\0"):
        return None
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        return Record(
            line, kept_line(line, {ERROR: "the line is not a JSON object"}), is_json=False
        )
    return Record(line, value)
