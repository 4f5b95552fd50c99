"""A small file that is replaced as a whole, by one process at a time, and a thread that saves it.

A reader of a `WholeFile` finds the old or the new content, even after a crash in between. A
`Keeper` writes the file in a thread of its own, soon after its content has changed, and at most
once per interval. A full disk is reported once, and the write is tried again until it works.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Condition, Thread

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread

PATIENCE = 5.0
"""Seconds that a new process waits for the previous one to unlock the file."""

_log = get_log("flowtools.source.state")


class WholeFile:
    """A file that is replaced as a whole, by one process at a time.

    Attributes:
        path: The path as it was given.
        name: What to call it in a message.
    """

    def __init__(self, path: str | Path, kind: str = "state file", holder: str = "process") -> None:
        """Lock the file for this process.

        If another process has locked it, wait up to PATIENCE for that process to end.

        Args:
            path: Path of the file, which need not exist yet.
            kind: What such a file is called in a message.
            holder: What the other process is called in a message.

        Raises:
            ConfigurationError: Another process has locked it, or its directory cannot be used.
        """
        self.path = Path(path)
        self.name = f"{kind} '{path}'"
        # Links are resolved: `replace` would otherwise put a file in the place of the link. And
        # processes that came through different links must find the same lock.
        self._file = Path(os.path.realpath(self.path))
        if self._file.is_symlink():
            raise ConfigurationError(f"cannot use {self.name}: its links lead in a circle")
        if self._file.is_dir():
            raise ConfigurationError(f"cannot use {self.name}: it is a directory")
        # A file of its own: a lock belongs to an inode, and `replace` gives the file a new one.
        lock = self._file.with_name(self._file.name + ".lock")
        ends_at = time.monotonic() + PATIENCE
        try:
            self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            while not (ours := _lock(self._lock)) and time.monotonic() < ends_at:
                time.sleep(0.05)
        except OSError as error:
            reason = f"'{lock}': {error.strerror}"
            raise ConfigurationError(f"cannot use {self.name}: {reason}") from None
        if not ours:
            os.close(self._lock)
            raise ConfigurationError(
                f"cannot use {self.name}: another {holder} has it; give each its own"
            )

    def read(self) -> bytes | None:
        """Return the content of the file; None if there is no file yet.

        Raises:
            ConfigurationError: It cannot be read.
        """
        try:
            return self._file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(f"cannot read {self.name}: {error.strerror}") from None

    def replace(self, content: bytes) -> None:
        """Replace the file; a reader finds either the old or the new content, whatever happens.

        Raises:
            OSError: It cannot be written.
        """
        new = self._file.with_name(self._file.name + ".new")
        with suppress(FileNotFoundError):
            # A killed process may have left this file; holding the lock makes it ours.
            new.unlink()
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file)
        # Until its directory is on disk, a power failure can undo the renaming.
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        """Unlock the file."""
        os.close(self._lock)


class Keeper:
    """A thread that saves content soon after it has changed; any thread may call."""

    def __init__(
        self,
        name: str,
        save: Callable[[], None],
        every: float = 1.0,
        may_save: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare to save; `open` starts the thread.

        Args:
            name: What the file is called in a message.
            save: Writes the file; raises OSError if it cannot.
            every: Seconds from a change to the writing; further changes are gathered meanwhile.
            may_save: Returns whether the file may be written now.
        """
        self._name = name
        self._save = save
        self._every = every
        self._may_save = may_save
        self._changed = Condition()
        self._dirty = self._closing = False
        self._thread = Thread(target=self._keep, name="state", daemon=True)

    def open(self) -> None:
        """Start the thread."""
        start_thread(self._thread)

    def touch(self) -> None:
        """Note that the content has changed."""
        with self._changed:
            if not self._dirty:
                self._dirty = True
                self._changed.notify()

    def close(self) -> None:
        """Save a last time, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        closing = False
        problem = None
        while not closing:
            with self._changed:
                self._changed.wait_for(lambda: self._dirty or self._closing)
                if not self._closing:
                    # Gather further changes into the same write; `close` ends this wait.
                    self._changed.wait_for(lambda: self._closing, self._every)
                closing = self._closing
            problem = self._try_to_save(problem)

    def _try_to_save(self, before: str | None) -> str | None:
        """Save; return the error, which is reported unless it is the same as `before`."""
        if not self._may_save():
            return before
        with self._changed:
            self._dirty = False  # Before the content is read: a change from here on counts again.
        try:
            self._save()
        except OSError as error:
            with self._changed:
                self._dirty = True
            if error.strerror != before:
                _log.error(
                    "cannot write %s: %s; going on, but events done from now on may come again"
                    " after a restart",
                    *(self._name, error.strerror),
                )
            return error.strerror
        if before is not None:
            _log.warning("%s can be written again", self._name)
        return None


def _lock(fd: int) -> bool:
    """Try to lock the file; return whether this process has the lock now.

    Raises:
        OSError: The file system has no locks.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
