"""The file that keeps how far a source has come, over an absence."""

import fcntl
import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

import orjson

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log

PATIENCE = 5.0
"""Seconds that a new listener waits for the one before it to let the file go."""

_TOMORROW = 86400.0

_log = get_log("flowtools.source.vizone.state")


Position = tuple[float, dict[str, float], float | None]
"""The mark, what is done after it by key, and how far ahead the server's clock was (seconds)."""


class Kept:
    """What keeps a position, wherever that is.

    Attributes:
        name: What to call it in a message.
        every: Seconds between two writings.
    """

    name: str
    every: float = 1.0

    @property
    def is_ours(self) -> bool:
        """Whether it may be written now: another listener may be at work."""
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
    # A clock that was ahead a little must not hide what happens until then.
    return min(mark, time.time()), seen, clock


class StateFile(Kept):
    """A file that is replaced as a whole, by one process at a time."""

    def __init__(self, path: str | Path, of: str, source: str) -> None:
        """Take the file for oneself; `of` and `source` say what it is about.

        One whose process is about to end is waited for, up to PATIENCE.

        Raises:
            ConfigurationError: Another process has it, or its directory cannot be used.
        """
        self.path = Path(path)
        # Through links: a file that is replaced would take the place of the link to it. And the
        # lock lies beside the file itself, whatever name led there.
        try:
            self._file = self.path.resolve()
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "its links lead in a circle"
            raise ConfigurationError(f"cannot use state file '{path}': {reason}") from None
        self.name = f"state file '{path}'"
        self._of = of
        self._source = source
        if self._file.is_dir():
            raise ConfigurationError(f"cannot use state file '{path}': it is a directory")
        lock = self._file.with_name(self._file.name + ".lock")
        ends_at = time.monotonic() + PATIENCE
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while not (ours := _lock(self._lock)) and time.monotonic() < ends_at:
                time.sleep(0.05)
        except OSError as error:
            raise ConfigurationError(
                f"cannot use state file '{path}': '{lock}': {error.strerror}"
            ) from None
        if not ours:
            os.close(self._lock)
            raise ConfigurationError(
                f"cannot use state file '{path}': another listener has it; give each its own"
            )

    def load(self) -> Position | None:
        """Return the mark, what is done after it, and how far ahead the server's clock was.

        None where there is no file yet.

        Raises:
            ConfigurationError: It cannot be read, is damaged, or is about something else.
        """
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"cannot read state file '{self.path}': {error.strerror}"
            ) from None
        try:
            kept = orjson.loads(content)
        except ValueError:
            kept = None
        return read_position(self.name, kept, self._of, self._source)

    def save(self, mark: float, seen: dict[str, float], clock: float | None = None) -> None:
        """Replace the file; a reader finds the old or the new one, whatever happens.

        Raises:
            OSError: It cannot be written.
        """
        value = self.document(mark, seen, clock)
        new = self._file.with_name(self._file.name + ".new")
        with suppress(FileNotFoundError):
            new.unlink()  # What a killed listener has left; the lock says that it is ours.
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Let others have the file."""
        os.close(self._lock)


def _lock(fd: int) -> bool:
    """Lock the file, if nobody else has; return whether it is ours now.

    Raises:
        OSError: There are no locks where it lies.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
