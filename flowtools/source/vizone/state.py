"""The file that keeps a source's position from one run to the next."""

import time
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.source.wholefile import WholeFile

# Seconds by which a position may be ahead of our clock; more is taken for a mistake.
_TOMORROW = 86400.0

_log = get_log("flowtools.source.vizone.state")


Position = tuple[float, dict[str, float], float | None]
"""The mark; the changes after it that are done, their times by key; and how many seconds the
server's clock was ahead of ours, if known. The times are in seconds since the epoch."""


class Kept:
    """A keeper of a position: a file or a value in a store.

    Attributes:
        name: Its name in messages.
        every: Seconds from a change to its being written.
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
        """Return the JSON object that is written."""
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
        """Release it, so that another process can have it."""
        raise NotImplementedError


def read_position(name: str, kept: Any, of: str, source: str) -> Position:
    """Return the position in the JSON value `kept`.

    Args:
        name: Its name in messages.
        kept: The value, as Kept.document made it.
        of: The resources that it must belong to.
        source: The address of Viz One; another one only causes a warning.

    Raises:
        ConfigurationError: It is damaged, belongs to other resources, or is in the future.
    """
    # It may have been edited or damaged: nothing about its types is certain.
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
            f"cannot use {name}: it is damaged, or is not the position of a listener;"
            " repair it, or remove it and say with --since where to start"
        )
    if kept_of != of:
        raise ConfigurationError(f"cannot use {name}: it belongs to {kept_of}, not {of}")
    if mark > time.time() + _TOMORROW:
        raise ConfigurationError(
            f"cannot use {name}: it says that everything is done up to {kept['changed']}, which is"
            " in the future; correct the clock, or remove it and say with --since where to start"
        )
    if kept_source != source:
        _log.warning("%s was written for '%s', not '%s'", name, kept_source, source)
    # If the clock was slightly ahead, changes that are made until that time must not count as done.
    return min(mark, time.time()), seen, clock


class StateFile(Kept):
    """A file that is replaced as a whole, by one process at a time."""

    def __init__(self, path: str | Path, of: str, source: str) -> None:
        """Lock the file; `of` and `source` say what it belongs to.

        Raises:
            ConfigurationError: Another process has it, or its directory cannot be used.
        """
        self._file = WholeFile(path, holder="listener")
        self.name = self._file.name
        self._of = of
        self._source = source

    def load(self) -> Position | None:
        """Return the position; None if there is no file yet.

        Raises:
            ConfigurationError: The file cannot be read, is damaged, or belongs to something else.
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
        """Unlock the file."""
        self._file.close()
