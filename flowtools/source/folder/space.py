"""Warn once when free space falls below a limit, and report when there is enough again."""

import os
from collections.abc import Callable

from flowtools.core.log import get_log

LOOK_EVERY = 10.0
"""Seconds between two looks at the free space."""

log = get_log("flowtools.source.watch")


class FreeSpace:
    """Warns when the file system of a folder has less than so many bytes left."""

    def __init__(self, folder: str, least: int, monotonic: Callable[[], float]) -> None:
        """Watch the file system of `folder`; `least` in bytes, 0: never warn."""
        self._folder = folder
        self._least = least
        self._monotonic = monotonic
        self._looked = float("-inf")
        self._is_short = False

    def look(self) -> None:
        """Check the free space, if it is time to, and report when it crosses the limit."""
        now = self._monotonic()
        if not self._least or now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            status = os.statvfs(self._folder)
        except OSError:
            return  # The folder is away, which the lookout reports.
        free = status.f_bavail * status.f_frsize
        if free < self._least and not self._is_short:
            log.warning(
                "only %.1f GB are free on the disk of '%s', which is below --min-free",
                free / 1e9,
                self._folder,
            )
        elif free >= self._least and self._is_short:
            log.warning("%.1f GB are free again on the disk of '%s'", free / 1e9, self._folder)
        self._is_short = free < self._least
