"""The file that remembers what has been reported, from one run to the next: an SQLite database.

Each file is a row, so that remembering one costs about the same however many there are. After a
crash SQLite finds the last complete transaction. The process locks the database from start to end.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.source.folder.mark import Mark

PATIENCE = 5.0
"""Seconds that a new flow-watch waits for the previous one to unlock the file."""

_FORM = b"flow-watch 1"

_WRAP = 2**64
"""Inode numbers have 64 bits without a sign; SQLite's integers have one."""

log = get_log("flowtools.source.watch")


class State:
    """What has been reported of a folder; for one thread.

    Attributes:
        is_new: Whether nothing has been remembered yet.
    """

    def __init__(self, path: str, folder: str) -> None:
        """Open the file `path`, or make it, for the folder `folder`, an absolute path.

        Raises:
            ConfigurationError: Another process has it, it is damaged, it belongs to another
                folder, or it cannot be opened.
        """
        self._path = path
        self._pending: dict[str, Mark | None] = {}
        self._adjusted: dict[str, Mark] = {}
        self._is_failing = self._begins = False
        try:
            self._base = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            try:
                self.is_new = self._prepare(os.fsencode(folder))
            except BaseException:
                self._base.close()
                raise
        except sqlite3.Error as error:
            raise ConfigurationError(f"cannot use state file '{path}': {_reason(error)}") from None

    def _prepare(self, folder: bytes) -> bool:
        # The order matters: SQLite takes the lock, and keeps it, at the first write.
        self._base.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._base.execute("PRAGMA journal_mode = WAL")
        # Without an fsync for each transaction. A killed process loses nothing; a power failure
        # may undo the last transactions, whose files are then reported twice.
        self._base.execute("PRAGMA synchronous = NORMAL")
        self._base.execute("BEGIN IMMEDIATE")
        tables = {name for (name,) in self._base.execute("SELECT name FROM sqlite_master")}
        if tables and "about" not in tables:
            raise ConfigurationError(
                f"cannot use state file '{self._path}': it is not a state file of flow-watch"
            )
        self._base.execute("CREATE TABLE IF NOT EXISTS about (form BLOB, folder BLOB)")
        self._base.execute(
            "CREATE TABLE IF NOT EXISTS file (name BLOB PRIMARY KEY, inode INTEGER, size INTEGER,"
            " modified INTEGER, changed INTEGER, attributes INTEGER) WITHOUT ROWID"
        )
        about = self._base.execute("SELECT form, folder FROM about").fetchone()
        self._base.execute("COMMIT")
        if about is None:
            Path(self._path).chmod(0o600)
            self._about = _FORM, folder
            return True
        if about[0] != _FORM:
            raise ConfigurationError(
                f"cannot use state file '{self._path}': it is not a state file of flow-watch"
            )
        if about[1] != folder:
            raise ConfigurationError(
                f"cannot use state file '{self._path}': it belongs to '{os.fsdecode(about[1])}',"
                f" not '{os.fsdecode(folder)}'"
            )
        return False

    def load(self) -> Iterator[tuple[str, Mark]]:
        """Yield the files that have been reported, each with its state then.

        The number of the device is left out: it may change when the machine starts anew.

        Raises:
            ConfigurationError: The file is damaged.
        """
        try:
            for name, inode, *more in self._base.execute("SELECT * FROM file"):
                yield os.fsdecode(name), Mark(0, inode % _WRAP, *more)
        except (sqlite3.Error, TypeError) as error:
            raise ConfigurationError(
                f"cannot use state file '{self._path}': {_reason(error)}"
            ) from None

    def begin(self, files: Iterable[tuple[str, Mark]]) -> None:
        """Write the files that existed at the first start, in one transaction."""
        self._begins = True
        self.remember(files)
        self.save()

    def remember(self, files: Iterable[tuple[str, Mark | None]]) -> None:
        """Remember at the next `save` that these files have been reported.

        Each comes with its state; None: it has gone, and that has been reported.
        """
        self._pending.update(files)

    def adjust(self, name: str, mark: Mark) -> None:
        """Note new attributes of the file `name`, if it has been reported."""
        # Only an UPDATE: a file that was not reported yet must not get a row.
        if self._pending.get(name) is not None:
            self._pending[name] = mark
        else:
            self._adjusted[name] = mark

    def save(self) -> None:
        """Write the pending changes; a failure is reported once, and the next call tries again."""
        if not self._pending and not self._adjusted and not self._begins:
            return
        try:
            self._write()
        except sqlite3.Error as error:
            with suppress(sqlite3.Error):
                self._base.execute("ROLLBACK")
            if not self._is_failing:
                log.error(
                    "cannot write state file '%s': %s; what is reported meanwhile may be reported"
                    " again after the next start",
                    self._path,
                    _reason(error),
                )
            self._is_failing = True
            return
        self._pending.clear()
        self._adjusted.clear()
        self.is_new = self._begins = False
        if self._is_failing:
            self._is_failing = False
            log.warning("state file '%s' can be written again", self._path)

    def _write(self) -> None:
        gone = [(os.fsencode(name),) for name, mark in self._pending.items() if mark is None]
        rows = [
            (os.fsencode(name), _signed(mark.inode), *mark[2:])
            for name, mark in self._pending.items()
            if mark is not None
        ]
        self._base.execute("BEGIN")
        if self.is_new:
            self._base.execute("INSERT INTO about VALUES (?, ?)", self._about)
        self._base.executemany("DELETE FROM file WHERE name = ?", gone)
        adjusted = [
            (mark.changed, mark.attributes, os.fsencode(name))
            for name, mark in self._adjusted.items()
        ]
        self._base.executemany(
            "UPDATE file SET changed = ?, attributes = ? WHERE name = ?", adjusted
        )
        self._base.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._base.execute("COMMIT")

    def close(self) -> None:
        """Write the pending changes, and unlock the file."""
        self.save()
        self._base.close()


def _signed(number: int) -> int:
    return number if number < _WRAP // 2 else number - _WRAP


def _reason(error: Exception) -> str:
    text = str(error)
    if "locked" in text:
        return "another flow-watch has it; give each its own"
    if "not a database" in text or "malformed" in text or isinstance(error, TypeError):
        return "it is damaged, or is not a state file of flow-watch; remove it to start again"
    return text
