"""The file that keeps a source's progress over an absence."""

import time
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.source.wholefile import WholeFile

_TOMORROW = 86400.0

_log = get_log("flowtools.source.vizone.state")


Position = tuple[float, dict[str, float], float | None]
"""The mark, what is done after it by key, and how far ahead the server's clock was (seconds)."""


class Kept:
    """A keeper of a position: a file or a value in a store.

    Attributes:
        name: What to call it in a message.
        every: Seconds between two writings.
    """

    name: str
    every: float = 1.0

    @property
    def is_ours(self) -> bool:
        """Whether the position may be written now; not while another listener works."""
        return True

    _of: str
    _source: str

    def document(self, mark: float, seen: dict[str, float], clock: float | None) -> dict[str, Any]:
        """Return what is written."""
        return {
            "flow-state": 1,
            "of": self._of,
            "source": self._source,
            "changed": datetime.fromtimestamp(mark, UTC).isoformat(timespec="microseconds"),
            "seen": seen,
            "clock": clock,
        }

    def save(self, mark: float, seen: dict[str, float], clock: float | None = None) -> None:
        """Replace what is kept.

        Raises:
            OSError: It cannot be written.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let others have it."""
        raise NotImplementedError


def read_position(name: str, kept: Any, of: str, source: str) -> Position:
    """Return the position that `kept` says, which is called `name`.

    Raises:
        ConfigurationError: It is damaged, about something else than `of`, or to come.
    """
    try:
        mark = datetime.fromisoformat(kept["changed"]).timestamp()
        seen = {str(key): float(when) for key, when in kept["seen"].items()}
        kept_of, kept_source = kept["of"], kept["source"]
        clock = None if kept.get("clock") is None else float(kept["clock"])
        known = kept["flow-state"] == 1 and all(map(isfinite, [*seen.values(), clock or 0.0]))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        known = False
    if not known:
        raise ConfigurationError(
            f"cannot use {name}: it is damaged, or none of flow-listen's;"
            " repair it, or remove it and say with --since where to start"
        )
    if kept_of != of:
        raise ConfigurationError(f"cannot use {name}: it is about {kept_of}, not {of}")
    if mark > time.time() + _TOMORROW:
        raise ConfigurationError(
            f"cannot use {name}: it says that all is done up to"
            f" {kept['changed']}, which is to come; set the clock right, or remove it"
            " and say with --since where to start"
        )
    if kept_source != source:
        _log.warning("%s was written for '%s', not '%s'", name, kept_source, source)
    # A clock that was slightly ahead must not hide the changes until that time.
    return min(mark, time.time()), seen, clock


class StateFile(Kept):
    """A file that is replaced as a whole, by one process at a time."""

    def __init__(self, path: str | Path, of: str, source: str) -> None:
        """Take the file for oneself; `of` and `source` say what it is about.

        Raises:
            ConfigurationError: Another process has it, or its directory cannot be used.
        """
        self._file = WholeFile(path, holder="listener")
        self.name = self._file.name
        self._of = of
        self._source = source

    def load(self) -> Position | None:
        """Return the mark, what is done after it, and how far ahead the server's clock was.

        None where there is no file yet.

        Raises:
            ConfigurationError: It cannot be read, is damaged, or is about something else.
        """
        content = self._file.read()
        if content is None:
            return None
        try:
            kept = orjson.loads(content)
        except ValueError:
            kept = None
        return read_position(self.name, kept, self._of, self._source)

    def save(self, mark: float, seen: dict[str, float], clock: float | None = None) -> None:
        """Replace the file.

        Raises:
            OSError: It cannot be written.
        """
        value = self.document(mark, seen, clock)
        self._file.replace(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        """Let others have the file."""
        self._file.close()
