"""When to look into a folder: at a notice, at the end of a pause, and when it has come back."""

import os
from collections.abc import Callable
from pathlib import Path

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.wait import Wake
from flowtools.source.folder import Folder
from flowtools.source.notices import Notices

RESCAN = 60.0
"""Seconds between two looks at everything, for what the system gave no notice of."""

AWAY = 1.0
"""Seconds between two looks whether the folder is still, or again, the one it was."""

WITHOUT_NOTICES = 2.0
"""Seconds between two looks at everything where the system gives no notices."""

log = get_log("flowtools.source.watch")


class Lookout:
    """Brings a Folder up to date wherever there is a reason to look; for one thread.

    Its file descriptor becomes readable when there may be one.
    """

    def __init__(
        self,
        folder: Folder,
        *,
        recursive: bool,
        poll: float | None,
        monotonic: Callable[[], float],
    ) -> None:
        """Prepare; `poll`: look every so many seconds instead of waiting for notices."""
        self._folder = folder
        self._recursive = recursive
        self._poll = poll
        self._monotonic = monotonic
        # Device and inode of the folder; None while it is away, and what is there then.
        self._identity: tuple[int, int] | None = None
        self._instead: tuple[int, int] | None = None
        self._notices: Notices | None = None
        self._wake = Wake()
        self._scanned = 0.0

    def start(self, *, existing: bool) -> None:
        """Begin; what is there by now is new if `existing` says so.

        Raises:
            ConfigurationError: There is no such folder, or it cannot be read.
        """
        try:
            os.scandir(self._folder.path).close()
        except OSError as error:
            raise ConfigurationError(
                f"cannot watch '{self._folder.path}': {(error.strerror or '').lower()}"
            ) from None
        self._identity = self._present()
        if not existing:
            self._folder.take_for_known()
        self._begin_to_watch()

    def close(self) -> None:
        """Look no more."""
        self._stop_to_watch()
        self._wake.close()

    def fileno(self) -> int:
        """Return what becomes readable when there may be a reason to look."""
        return self._wake.fileno()

    def due(self) -> float:
        """Return the seconds after which to look, whether or not a notice has come."""
        pauses = [AWAY, AWAY if self._poll is None else self._poll]
        due = self._folder.due()
        if due is not None and self._identity is not None:
            pauses.append(due)
        return min(pauses)

    def look(self) -> bool:
        """Look where there is a reason to; return whether the folder is (still) there."""
        self._wake.clear()
        if self._is_there():
            self._look()
        return self._identity is not None and self._present() == self._identity

    def _look(self) -> None:
        now = self._monotonic()
        paths: set[str] | None = set()
        if self._notices is not None:
            if self._notices.failure is not None:
                self._fall_back(self._notices.failure)
            else:
                paths = self._notices.take()
        interval = RESCAN if self._poll is None else self._poll
        if paths is None or now - self._scanned >= interval:
            self._scanned = now
            self._folder.scan()
            return
        for path in paths:
            self._folder.look(path)

    def _is_there(self) -> bool:
        """Return whether the folder is there; when it is back, watch it anew."""
        present = self._present()
        if present == self._identity:
            return present is not None
        if self._identity is not None and (present is None or self._is_unmounted(present)):
            log.warning("'%s' has gone; waiting for it to come back", self._folder.path)
            self._stop_to_watch()
            self._identity = None
            self._instead = present
            return False
        if self._identity is None and present == self._instead:
            return False
        log.warning("'%s' is back", self._folder.path)
        self._stop_to_watch()
        self._identity = present
        self._begin_to_watch()
        return True

    def _is_unmounted(self, present: tuple[int, int]) -> bool:
        # The empty folder below a mount point is not a share from which all has been deleted.
        assert self._identity is not None
        return present[0] != self._identity[0] and self._folder.is_empty()

    def _present(self) -> tuple[int, int] | None:
        try:
            status = Path(self._folder.path).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _begin_to_watch(self) -> None:
        self._scanned = float("-inf")  # Whatever happened until now is found by looking.
        if self._poll is None:
            self._notices = Notices(self._folder.path, self._wake, recursive=self._recursive)

    def _stop_to_watch(self) -> None:
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _fall_back(self, reason: str) -> None:
        self._stop_to_watch()
        if self._present() != self._identity:
            return  # That is why.
        self._poll = WITHOUT_NOTICES
        log.warning(
            "cannot get notices of changes in '%s': %s; looking every %g s instead",
            self._folder.path,
            reason,
            self._poll,
        )
