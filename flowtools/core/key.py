"""The key of an event: the value by which events are grouped, ordered or locked.

A key never raises an error: an event without the value has no key, and is handled as if no key had
been asked for. Because a misspelt key would thereby go unnoticed, `WatchedKey` warns of it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from flowtools.core.errors import UsageError
from flowtools.core.event import Event
from flowtools.core.log import get_log

FIRST = 100
"""Number of events, from the first one on, that must all lack the key before the warning that it
may be misspelt."""

_log = get_log("flowtools.key")

_ATTRIBUTE = re.compile(r"[a-z0-9]{1,64}")
# RFC 6901, sections 3 and 4: ~ stands only in ~0 and ~1; an index has no leading zero. Its length
# is bounded here because int() refuses more than 4300 digits.
_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")


@dataclass(frozen=True)
class Key:
    """An expression that picks one value of an event.

    The expression is the name of an attribute (`subject`), or a JSON Pointer (RFC 6901) into
    the event's data (`/headers/identity`).

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
            UsageError: `text` is neither the name of an attribute nor a JSON Pointer.
        """
        if _ATTRIBUTE.fullmatch(text):
            return cls(text, text)
        if not text.startswith("/") or _BAD_ESCAPE.search(text):
            raise UsageError(
                f"invalid key '{text}': expected the name of an attribute, such as subject, "
                "or a JSON Pointer into the data, such as /x"
            )
        steps = text[1:].split("/")
        # ~1 must be replaced before ~0: otherwise ~01, which means "~1", would become "/".
        return cls(text, None, tuple(step.replace("~1", "/").replace("~0", "~") for step in steps))

    def of(self, event: Event) -> str | None:
        """Return the key of `event`: text unchanged, any other value as JSON.

        None means that the event has no such value, or that it is null, an empty text, or nested
        too deeply to be written as JSON.
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
            # Sorted, so that equal objects have one key, whatever the order of their members.
            return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            return None

    def near(self, event: Event) -> str | None:
        """Return a similar expression for which `event` has a value; None if there is none."""
        attributes = event.attributes
        if self.attribute is not None:
            return _like(self.attribute, attributes)
        value = attributes.get("data")
        steps: list[str] = []
        for step in self.steps:
            if not isinstance(value, dict):
                return None
            found = step if step in value else _like(step, value)
            if found is None:
                return None
            steps.append(found)
            value = value[found]
        escaped = (each.replace("~", "~0").replace("/", "~1") for each in steps)
        return "".join(f"/{each}" for each in escaped)


class WatchedKey:
    """A key that warns once if none of the first events has it.

    Events without a key run at once and in no order, so a misspelt key silently cancels the option
    that it was given for. Any thread may call `of`. The count has no lock: a lost update only
    delays the warning.
    """

    def __init__(self, key: Key, option: str) -> None:
        """Watch `key`; `option` is its option on the command line, for the warning."""
        self._key = key
        self._option = option
        self._missed = 0
        self._is_over = False

    def of(self, event: Event) -> str | None:
        """Return the key of `event`, as Key.of does."""
        found = self._key.of(event)
        if not self._is_over:
            self._look(event, has_it=found is not None)
        return found

    def _look(self, event: Event, *, has_it: bool) -> None:
        self._missed += 1
        if has_it:
            self._is_over = True
        elif self._missed >= FIRST:
            self._is_over = True
            near = self._key.near(event)
            _log.warning(
                "%s '%s': none of the first %d events has it, so nothing is kept in order%s",
                *(self._option, self._key.text, FIRST),
                f"; perhaps '{near}' is meant" if near else "",
            )


def _like(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` most similar to `name`, ignoring case; None if none is similar."""
    from difflib import get_close_matches  # Only for a warning.

    lower = {each.lower(): each for each in names}
    found = get_close_matches(name.lower(), lower, 1)
    return lower[found[0]] if found else None
