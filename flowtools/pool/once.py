"""--once: remembers for a while which events have been done, by source and id, and skips them.

An id is stored in an SQLite database, and on the disk, before the event is acknowledged. If the
process dies before that, the event is delivered again; then it is skipped if its id was stored, and
otherwise done again. An event that was done and acknowledged here is never done here a second time
while its id is kept.
"""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from flowtools.core.errors import ConfigurationError, FlowError
from flowtools.core.event import Event
from flowtools.pool.outcome import Attempt

BUSY = 10.0
"""Seconds to wait for another process that writes to the database."""

FORGET_EVERY = 600.0
"""Seconds between two deletions of ids that are too old."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS flow_once (source TEXT, id TEXT, at REAL NOT NULL,"
    " PRIMARY KEY (source, id)) WITHOUT ROWID"
)


class Once:
    """The database of done events; a recorder of the pool, safe from any thread."""

    def __init__(self, path: Path, age: float) -> None:
        """Open or create the database at `path`; ids are kept for `age` seconds.

        Raises:
            ConfigurationError: The database cannot be used.
        """
        self._path = path
        self._age = age
        self._lock = Lock()
        self._forgotten = 0.0
        try:
            # One connection for all threads: `_lock` makes that safe.
            self._database = sqlite3.connect(path, timeout=BUSY, check_same_thread=False)
            try:
                # A reader and the writer of another process do not block each other.
                self._database.execute("PRAGMA journal_mode=WAL")
                # With NORMAL, a loss of power could undo what has been acknowledged already.
                self._database.execute("PRAGMA synchronous=FULL")
                self._database.execute(_TABLE)
                self._database.commit()
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise self._failure("use", error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(sqlite3.Error):
            self._database.close()

    def has(self, event: Event) -> bool:
        """Return whether `event` has been done.

        Raises:
            FlowError: The database cannot be read.
        """
        try:
            with self._lock:
                found = self._database.execute(
                    "SELECT 1 FROM flow_once WHERE source = ? AND id = ? AND at >= ?",
                    (*_identity(event), time.time() - self._age),
                ).fetchone()
        except sqlite3.Error as error:
            raise self._failure("read", error) from None
        return found is not None

    def record(self, attempt: Attempt) -> None:
        """Store the event of `attempt`, if the attempt has done it.

        Raises:
            FlowError: The database cannot be written.
        """
        if attempt.event is None or not (attempt.outcome.is_done and attempt.outcome.ran):
            return
        now = time.time()
        try:
            with self._lock, self._database:
                if now - self._forgotten >= FORGET_EVERY:
                    self._forgotten = now
                    self._database.execute("DELETE FROM flow_once WHERE at < ?", (now - self._age,))
                self._database.execute(
                    "INSERT OR REPLACE INTO flow_once VALUES (?, ?, ?)",
                    (*_identity(attempt.event), now),
                )
        except sqlite3.Error as error:
            raise self._failure("write", error) from None

    def _failure(self, verb: str, error: Exception) -> FlowError:
        return ConfigurationError(f"cannot {verb} '--once {self._path}': {error}")


def _identity(event: Event) -> tuple[str, str]:
    return _text(event.source), _text(event.id)


def _text(said: object) -> str:
    # SQLite accepts only valid Unicode, but a line may hold half of a surrogate pair.
    return str(said).encode("utf-8", "backslashreplace").decode()
