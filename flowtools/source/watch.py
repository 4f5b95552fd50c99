"""HotFolder: an event for each file that has arrived whole in a folder, changed, or gone."""

import logging
import os
import select
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from flowtools.errors import ConfigurationError, ReaderGone, UsageError
from flowtools.event import Event, digest, rfc3339
from flowtools.outlet import Outlet
from flowtools.source.clock import Clock
from flowtools.source.folder import Finding, Folder, Wanted
from flowtools.source.notices import Notices
from flowtools.stop import Stop, poll_time
from flowtools.wake import Wake

KINDS = ("created", "modified", "deleted")

SETTLE = 2.0
"""Seconds that nothing may change before a file counts as whole, by default."""

RESCAN = 60.0
"""Seconds between two looks at everything, for what the system gave no notice of."""

AWAY = 1.0
"""Seconds between two looks whether the folder is still, or again, the one it was."""

log = logging.getLogger("flowtools.source.watch")


class HotFolder:
    """A source of the files in one folder of this machine.

    Its types are flow.path.created, modified and deleted. `data` is an object of path,
    name (the path below the folder), size (bytes), updated (when it was modified), url,
    and moved_from (the name that the same file had before, where it had one). A name that
    is not UTF-8 is shown with backslashes; its `url` is exact.

    The folder may go and come back: what happened meanwhile is found out then.
    """

    def __init__(
        self,
        directory: str,
        *,
        match: Sequence[str] = (),
        ignore: Sequence[str] = (),
        recursive: bool = False,
        existing: bool = False,
        skip_empty: bool = False,
        settle: float = SETTLE,
        poll: float | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        count: int | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare to watch `directory`.

        Args:
            directory: Its path.
            match: Patterns as of a shell; a file is wanted that one of them fits. None: all
                but those whose name begins with a dot.
            ignore: Patterns of files that are not wanted all the same.
            recursive: Look into sub-folders, too.
            existing: Begin with the files that are there already.
            skip_empty: Say nothing of a file while its size is 0.
            settle: Seconds that a file may not change before it counts as whole.
            poll: Look at everything every so many seconds instead of waiting for notices.
            include: Kinds of change that are wanted; none: all.
            exclude: Kinds that are not.
            count: End after so many events.
            clock: What tells the time.

        Raises:
            UsageError: No kind of change is left.
        """
        self._path = os.path.abspath(directory)  # noqa: PTH100  Path would resolve links
        self._kinds = frozenset(include or KINDS) - frozenset(exclude)
        if not self._kinds:
            raise UsageError("--include and --exclude leave nothing")
        self._recursive = recursive
        self._existing = existing
        self._poll = poll
        self._count = count
        self._clock = clock or Clock()
        self._url = _url(self._path)
        wanted = Wanted(tuple(match), tuple(ignore), recursive, skip_empty)
        self._folder = Folder(self._path, wanted, settle, self._clock.monotonic)
        # Device and inode of the folder; None while it is away, and what is there then.
        self._identity: tuple[int, int] | None = None
        self._instead: tuple[int, int] | None = None
        self._notices: Notices | None = None
        self._wake: Wake | None = None
        self._scanned = 0.0

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until their count is reached or `stop` is set.

        Raises:
            ConfigurationError: There is no such folder at the start, or it cannot be read.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        self._check()
        wake = self._wake = Wake()
        written = 0
        try:
            self._identity = self._present()
            if not self._existing:
                self._folder.take_for_known()
            self._begin_to_watch()
            while True:
                self._look()
                # Else all that was in it would count as deleted.
                is_there = self._identity is not None and self._present() == self._identity
                for finding in self._folder.findings() if is_there else ():
                    if finding.kind not in self._kinds:
                        continue
                    outlet.emit(self._event(finding))
                    written += 1
                    if written == self._count:
                        outlet.flush()
                        return
                outlet.flush()
                if self._wait(outlet, stop, wake):
                    return
        finally:
            if self._notices is not None:
                self._notices.close()
            wake.close()

    def _check(self) -> None:
        try:
            with os.scandir(self._path):
                return
        except OSError as error:
            raise ConfigurationError(
                f"cannot watch '{self._path}': {(error.strerror or '').lower()}"
            ) from None

    def _look(self) -> None:
        """Bring the folder up to date, wherever there is a reason to look."""
        if not self._is_there():
            return
        now = self._clock.monotonic()
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
            log.warning("'%s' has gone; waiting for it to come back", self._path)
            self._stop_to_watch()
            self._identity = None
            self._instead = present
            return False
        if self._identity is None and present == self._instead:
            return False
        log.warning("'%s' is back", self._path)
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
            status = Path(self._path).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _begin_to_watch(self) -> None:
        self._scanned = float("-inf")  # Whatever happened until now is found by looking.
        if self._poll is None and self._wake is not None:
            self._notices = Notices(self._path, self._wake, recursive=self._recursive)

    def _stop_to_watch(self) -> None:
        if self._notices is not None:
            self._notices.close()
            self._notices = None

    def _fall_back(self, reason: str) -> None:
        self._stop_to_watch()
        if self._present() != self._identity:
            return  # That is why.
        self._poll = SETTLE
        log.warning(
            "cannot get notices of changes in '%s': %s; looking every %g s instead",
            self._path,
            reason,
            self._poll,
        )

    def _wait(self, outlet: Outlet, stop: Stop, wake: Wake) -> bool:
        """Wait until there may be something to do; return True once `stop` is set."""
        waits = [AWAY, AWAY if self._poll is None else self._poll]
        due = self._folder.due()
        if due is not None and self._identity is not None:
            waits.append(due)
        poller = select.poll()
        poller.register(stop.fileno(), select.POLLIN)
        poller.register(wake.fileno(), select.POLLIN)
        poller.register(outlet.fileno(), 0)  # POLLERR comes unasked.
        # A little longer than due, so as not to come too early by a rounding.
        ready = dict(poller.poll((poll_time(min(waits)) or 0) + 1))
        if ready.get(outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone
        wake.clear()
        return stop.fileno() in ready

    def _event(self, finding: Finding) -> Event:
        mark, name = finding.mark, _text(finding.name)
        url = _url(f"{self._path}/{finding.name}")
        data = {
            "path": _text(f"{self._path}/{finding.name}"),
            "name": name,
            "size": mark.size,
            "updated": rfc3339(mark.changed / 1e9),
            "url": url,
            "moved_from": None if finding.moved_from is None else _text(finding.moved_from),
        }
        state = f"{mark.inode} {mark.size} {mark.changed}"
        return Event(
            f"flow.path.{finding.kind}",
            data,
            source=self._url,
            id=digest(url, "deleted" if finding.kind == "deleted" else "", state),
            subject=name,
            time=rfc3339(self._clock.time()),
        )


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _url(path: str) -> str:
    """Return the file: URI of `path` (RFC 8089), whatever bytes it has."""
    return f"file://{quote(os.fsencode(Path(path)))}"
