"""Decide when to look into a folder: at a notice, after a pause, at a mount, at its return.

Notices of inotify wake the lookout through an epoll(7) descriptor, which stays the same while
watches come and go. `due` returns the pauses. Without notices the lookout scans everything at
regular intervals, for at most a tenth of the time.

A folder that has disappeared must not look like a folder whose files were all deleted: a share that
is unmounted for a minute would cause a thousand events. So the lookout compares the device and
inode of the folder before each look, and while the folder is away nothing is reported.
"""

import os
import select
from collections.abc import Callable
from pathlib import Path

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.source.folder.inotify import Watches
from flowtools.source.folder.mounts import Mounts
from flowtools.source.folder.tree import Tree

RESCAN = 60.0
"""Seconds between two scans of everything, for changes without a notice."""

AWAY = 1.0
"""Seconds between two checks that the folder exists and is still the same one."""

WITHOUT_NOTICES = 2.0
"""Minimum time between two looks at folders and links without notices, in seconds."""

SHARE = 10
"""Without notices: the pause before a scan, as a multiple of the duration of the last one."""

IDLE_SHARE = 100
"""The same factor for the scans that are made in addition to notices."""

SAY_EVERY = 60.0
"""Seconds between two warnings that the system has dropped notices."""

SLICE = 0.05
"""Maximum time spent on scanning before the next check for a stop, in seconds."""

log = get_log("flowtools.source.watch")


class Lookout:
    """Brings a Tree up to date wherever there is a reason to look; for one thread.

    Its file descriptor becomes readable when there may be one.

    Attributes:
        is_complete: Whether everything has been looked at once.
    """

    def __init__(
        self,
        tree: Tree,
        due: Callable[[], float | None],
        *,
        poll: float | None,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare.

        Args:
            tree: The folder.
            due: Returns the seconds until a file may be whole or gone; None: no file is waiting.
            poll: Seconds between two scans, instead of notices; None: use notices.
            monotonic: A clock, in seconds.
        """
        self._tree = tree
        self._files_due = due
        self._poll = poll
        self._monotonic = monotonic
        # Device and inode of the folder, None while it is away; and of what is in its place then.
        self._identity: tuple[int, int] | None = None
        self._instead: tuple[int, int] | None = None
        self._watches: Watches | None = None
        self._mounts = Mounts(tree.path)
        self._epoll = select.epoll()
        # When the last scan, and the last look at what has no watch, began; how long they took.
        self._scanned = self._glanced = float("-inf")
        self._mounts_read = self._overflow_said = float("-inf")
        self._scan_took = self._glance_took = 0.0
        self._scan_is_full = False
        self.is_complete = False

    def start(self, *, old: bool) -> None:
        """Begin to watch. With `old`, the files that exist now are known, and are not reported.

        Raises:
            ConfigurationError: There is no such folder, or it cannot be read.
        """
        try:
            os.scandir(self._tree.path).close()
        except OSError as error:
            raise ConfigurationError(
                f"cannot watch '{self._tree.path}': {(error.strerror or '').lower()}"
            ) from None
        self._identity = self._present()
        self._begin_to_watch(old=old)

    def close(self) -> None:
        """Stop watching, and release the descriptors."""
        self._stop_to_watch()
        self._epoll.close()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be a reason to look."""
        return self._epoll.fileno()

    @property
    def is_away(self) -> bool:
        """Whether the folder is not there, or is not the one it was."""
        return self._identity is None or self._present() != self._identity

    def due(self) -> float:
        """Return the seconds after which to look, whether or not a notice has come."""
        if self.is_away:
            return AWAY
        if self._tree.is_scanning():
            return 0.0
        due = self._files_due()
        now = self._monotonic()
        pauses = [AWAY, self._scanned + self._scan_pause() - now]
        if due is not None:
            pauses.append(due)
        return max(0.0, min(pauses))

    def look(self) -> bool:
        """Look where there is a reason to, for about SLICE; return whether the folder exists."""
        if self._is_there():
            self._look()
        return not self.is_away

    def _look(self) -> None:
        began = self._monotonic()
        if self._watches is not None:
            self._take_notices(self._watches)
        # Mounting gives no notice (mounts.py), and what was mounted may be full of files.
        if began - self._mounts_read >= AWAY:
            self._mounts_read = began
            for folder in self._mounts.changed():
                self._tree.scan(folder, deep=True)
        if self._tree.unwatched or self._tree.links:
            self._glance(began)
        if not self._tree.is_scanning() and began - self._scanned >= self._scan_pause():
            self._scan_everything()
        while self._tree.is_scanning() and self._monotonic() - began < SLICE:
            self._tree.step()
        if self._scan_is_full and not self._tree.is_scanning():
            self._scan_is_full = False
            self.is_complete = True
            self._scan_took = self._monotonic() - self._scanned
            log.debug("looked at all of '%s' in %.3f s", self._tree.path, self._scan_took)

    def _take_notices(self, watches: Watches) -> None:
        reading = watches.read()
        if reading.overflowed:
            now = self._monotonic()
            say = log.warning if now - self._overflow_said >= SAY_EVERY else log.debug
            self._overflow_said = now
            say(
                "the system has dropped notices of changes in '%s', because too many came at once;"
                " scanning everything (sysctl fs.inotify.max_queued_events allows more)",
                self._tree.path,
            )
            self._scan_everything()
        for folder in reading.unwatched:
            self._tree.scan(folder)
        if reading.notices:
            log.debug(
                "%s of changes in '%s'", counted(len(reading.notices), "notice"), self._tree.path
            )
        self._tree.take(reading.notices)

    def _glance(self, now: float) -> None:
        """Look at what no watch is for: folders beyond the limit, targets of links."""
        if now - self._glanced < max(WITHOUT_NOTICES, SHARE * self._glance_took):
            return
        self._glanced = now
        for folder in list(self._tree.unwatched):
            self._tree.scan(folder)
        self._tree.look_at_links()
        self._glance_took = self._monotonic() - now

    def _scan_everything(self, *, old: bool = False) -> None:
        self._scanned = self._monotonic()
        self._scan_is_full = True
        self._tree.scan(deep=True, old=old)

    def _scan_pause(self) -> float:
        if self._poll is not None:
            return self._poll
        if self._watches is not None:
            return max(RESCAN, IDLE_SHARE * self._scan_took)
        return max(WITHOUT_NOTICES, SHARE * self._scan_took)

    def _is_there(self) -> bool:
        """Return whether the folder exists; watch it again when it has come back."""
        present = self._present()
        if present == self._identity:
            return present is not None
        if self._identity is not None and (present is None or self._is_unmounted(present)):
            log.warning("'%s' has gone; waiting for it to come back", self._tree.path)
            self._stop_to_watch()
            self._identity = None
            self._instead = present
            return False
        if self._identity is None and present == self._instead:
            return False  # Still only the empty folder below the mount point.
        log.warning("'%s' is back", self._tree.path)
        self._stop_to_watch()
        self._identity = present
        self._begin_to_watch()
        return True

    def _is_unmounted(self, present: tuple[int, int]) -> bool:
        # An empty folder on another device is the place where the share was mounted.
        assert self._identity is not None
        if present[0] == self._identity[0]:
            return False
        try:
            with os.scandir(self._tree.path) as entries:
                return next(entries, None) is None
        except OSError:
            return True

    def _present(self) -> tuple[int, int] | None:
        try:
            status = Path(self._tree.path).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _begin_to_watch(self, *, old: bool = False) -> None:
        if self._poll is None:
            try:
                self._watches = Watches(self._tree.path)
            except OSError as error:
                log.warning(
                    "cannot get notices of changes in '%s': %s; looking every %g s instead",
                    self._tree.path,
                    (error.strerror or "").lower(),
                    WITHOUT_NOTICES,
                )
            else:
                self._epoll.register(self._watches.fileno(), select.EPOLLIN)
        self._tree.watch_with(self._watches)
        self._scan_everything(old=old)

    def _stop_to_watch(self) -> None:
        self._tree.stop_scanning()
        self._tree.watch_with(None)
        if self._watches is not None:
            self._epoll.unregister(self._watches.fileno())
            self._watches.close()
            self._watches = None
