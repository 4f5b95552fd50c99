"""A key taken from an event: what events are grouped, ordered or locked by."""

import re
from dataclasses import dataclass
from typing import Any

import orjson

from flowtools.core.errors import UsageError
from flowtools.core.event import Event

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True)
class Key:
    """An expression that picks one value of an event.

    Either the name of an attribute (`subject`), or a JSON Pointer (RFC 6901) into the
    event's data (`/headers/identity`).

    Attributes:
        text: The expression.
        attribute: The attribute it names; None for a pointer.
        steps: The reference tokens of the pointer.
    """

    text: str
    attribute: str | None
    steps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Key":
        """Read an expression.

        Raises:
            UsageError: It is neither an attribute's name nor a JSON Pointer.
        """
        if _ATTRIBUTE.fullmatch(text):
            return cls(text, text)
        if not text.startswith("/") or _BAD_ESCAPE.search(text):
            raise UsageError(
                f"'{text}' is no key: write an attribute's name, such as subject, "
                "or a JSON Pointer into its data, such as /x"
            )
        steps = text[1:].split("/")
        return cls(text, None, tuple(step.replace("~1", "/").replace("~0", "~") for step in steps))

    def of(self, event: Event) -> str | None:
        """Return the key of `event`: text as it is, any other value as JSON.

        None where the event has no such value, or it is null, an empty text, or nested
        deeper than a line that is written may be.
        """
        name = self.attribute
        value: Any = event.attributes.get("data" if name is None else name)
        for step in self.steps:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and _INDEX.fullmatch(step) and int(step) < len(value):
                value = value[int(step)]
            else:
                return None
        if value is None or value == "":
            return None
        if isinstance(value, str):
            return value
        try:
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            return None
