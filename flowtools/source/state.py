"""How far a source has come, and the file that keeps it over an absence.

`Progress` counts what has been begun and what is done; its mark is the modification time
below which nothing is left to do. `open` starts the thread that writes the file, `close`
ends and joins it; any thread may call the rest.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import orjson

from flowtools.errors import ConfigurationError

MARGIN = 60.0
"""Seconds before the mark from which on the server is asked again: clocks and indexes lag."""

WRITE_EVERY = 1.0
"""Seconds between two writings of the file."""

MOST_SEEN = 20_000
"""Changes that are remembered as done; what is forgotten comes twice."""

_log = logging.getLogger("flowtools.source.state")


class StateFile:
    """A file that is replaced as a whole, by one process at a time."""

    def __init__(self, path: str | Path, of: str, source: str) -> None:
        """Take the file for oneself; `of` and `source` say what it is about.

        Raises:
            ConfigurationError: Another process has it, or its directory cannot be used.
        """
        self.path = Path(path)
        self._of = of
        self._source = source
        lock = self.path.with_name(self.path.name + ".lock")
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot use state file '{path}': '{lock}': {error.strerror}"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigurationError(
                f"cannot use state file '{path}': another listener has it; give each its own"
            ) from None

    def load(self) -> tuple[float, dict[str, float]] | None:
        """Return the mark and what is done after it; None where there is no file yet.

        Raises:
            ConfigurationError: It cannot be read, is damaged, or is about something else.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"cannot read state file '{self.path}': {error.strerror}"
            ) from None
        try:
            kept = orjson.loads(content)
            known = kept["flow-state"] == 1
            mark = datetime.fromisoformat(kept["changed"]).timestamp()
            seen = {str(key): float(when) for key, when in kept["seen"].items()}
            of, source = kept["of"], kept["source"]
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            known = False
        if not known:
            raise ConfigurationError(
                f"cannot use state file '{self.path}': it is damaged, or none of flow-listen's;"
                " repair it, or remove it and say with --since where to start"
            )
        if of != self._of:
            raise ConfigurationError(
                f"cannot use state file '{self.path}': it is about {of}, not {self._of}"
            )
        if source != self._source:
            _log.warning(
                "state file '%s' was written for '%s', not '%s'", self.path, source, self._source
            )
        return mark, seen

    def save(self, mark: float, seen: dict[str, float]) -> None:
        """Replace the file; a reader finds the old or the new one, whatever happens.

        Raises:
            OSError: It cannot be written.
        """
        value: dict[str, Any] = {
            "flow-state": 1,
            "of": self._of,
            "source": self._source,
            "changed": datetime.fromtimestamp(mark, UTC).isoformat(timespec="microseconds"),
            "seen": seen,
        }
        new = self.path.with_name(self.path.name + ".new")
        with suppress(FileNotFoundError):
            new.unlink()  # What a killed listener has left; the lock says that it is ours.
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Let others have the file."""
        os.close(self._lock)


class Progress:
    """What has been begun and what is done, by modification time."""

    def __init__(self, mark: float, seen: dict[str, float], file: StateFile | None = None) -> None:
        """Start at `mark`, with everything before it and what is `seen` done."""
        self._changed = Condition()
        self._file = file
        self._highest = mark
        self._pending: float | None = None
        self._tokens = 0
        self._outstanding: dict[int, tuple[float, str]] = {}
        self._known: dict[str, int] = {}
        self._replayed: dict[str, float] = {}
        self._seen = dict(seen)
        self._dirty = file is not None
        self._closing = False
        self._thread: Thread | None = None

    @property
    def mark(self) -> float:
        """The time before which nothing is left to do."""
        with self._changed:
            return self._low()

    def open(self) -> None:
        """Start to keep the file up to date; it is written at once.

        Raises:
            ConfigurationError: It cannot be written.
        """
        if self._file is None:
            return
        try:
            self._save()
        except OSError as error:
            raise ConfigurationError(
                f"cannot write state file '{self._file.path}': {error.strerror}"
            ) from None
        self._thread = Thread(target=self._keep, name="state", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write the file a last time."""
        if self._thread is not None:
            with self._changed:
                self._closing = True
                self._changed.notify()
            self._thread.join()
        if self._file is not None:
            self._file.close()

    def expect(self) -> float:
        """Forget what is outstanding: it is going to be asked for; return from when on.

        Until `fulfil`, the mark stays.
        """
        with self._changed:
            self._highest = self._pending = self._low()
            self._outstanding.clear()
            self._known.clear()
            return self._highest

    def reach(self, when: float) -> None:
        """Note that what is still to be asked for is not older than `when`."""
        with self._changed:
            self._pending = when

    def fulfil(self) -> None:
        """Note that everything expected has been begun."""
        with self._changed:
            self._pending = None
            self._touch()

    def is_known(self, key: str, *, replayed: bool = False) -> bool:
        """Return whether a change has been begun or done (only as a replay, if so asked)."""
        with self._changed:
            if replayed:
                return key in self._replayed
            return key in self._known or key in self._seen

    def begin(self, key: str, when: float | None, *, replayed: bool = False) -> int:
        """Note that a change is to be done; return the token that says which to `done`."""
        with self._changed:
            low = self._highest if when is None else when
            # A clock that is ahead must not take the mark beyond what can have happened.
            self._highest = max(self._highest, min(low, time.time()))
            self._tokens += 1
            self._outstanding[self._tokens] = low, key
            self._known[key] = self._known.get(key, 0) + 1
            if replayed and len(self._replayed) < MOST_SEEN:
                self._replayed[key] = low
            return self._tokens

    def done(self, tokens: Iterable[int]) -> None:
        """Note that changes are done; of those forgotten meanwhile nothing is noted."""
        with self._changed:
            for token in tokens:
                when, key = self._outstanding.pop(token, (0.0, ""))
                if not key:
                    continue
                left = self._known.pop(key) - 1
                if left:
                    self._known[key] = left
                elif len(self._seen) < MOST_SEEN or key in self._seen:
                    self._seen[key] = when
            self._touch()

    def _low(self) -> float:
        times = [when for when, _ in self._outstanding.values()]
        if self._pending is not None:
            times.append(self._pending)
        return min([self._highest, *times])

    def _touch(self) -> None:
        if not self._dirty:
            self._dirty = True
            self._changed.notify()
        if self._file is None and len(self._seen) >= MOST_SEEN:
            self._forget(self._low() - MARGIN)

    def _forget(self, before: float) -> None:
        self._seen = {key: when for key, when in self._seen.items() if when >= before}
        self._replayed = {key: when for key, when in self._replayed.items() if when >= before}

    def _keep(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._dirty or self._closing)
                if not self._closing:
                    self._changed.wait_for(lambda: self._closing, WRITE_EVERY)
                closing = self._closing
            try:
                self._save()
            except OSError as error:
                assert self._file is not None
                _log.error("cannot write state file '%s': %s", self._file.path, error.strerror)
                with self._changed:
                    self._dirty = True

    def _save(self) -> None:
        assert self._file is not None
        with self._changed:
            self._dirty = False
            mark = self._low()
            self._forget(mark - MARGIN)
            seen = dict(self._seen)
        self._file.save(mark, seen)
