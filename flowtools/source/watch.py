"""HotFolder: an event for each file that has arrived whole in a folder, changed, or gone."""

import os
import select
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from flowtools.core.errors import ReaderGone
from flowtools.core.event import Event, digest, rfc3339
from flowtools.core.kind import OF_FILES, Kind, chosen
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, poll_time
from flowtools.source.clock import Clock
from flowtools.source.folder import Finding, Folder, Wanted
from flowtools.source.lookout import Lookout
from flowtools.source.settings import Watching


class HotFolder:
    """A source of the files in one folder of this machine.

    Its types are flow.path.created, modified and deleted. `data` is an object of path,
    name (the path below the folder), size (bytes), updated (when it was modified), url,
    and moved_from (the name that the same file had before, where it had one). A name that
    is not UTF-8 is shown with backslashes; its `url` is exact.

    The folder may go and come back: what happened meanwhile is found out then.

    Attributes:
        count: End after so many events; None: go on.
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
        settle: float = Watching.settle,
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
        self._kinds = chosen(OF_FILES, include, exclude)
        self._recursive = recursive
        self._existing = existing
        self._poll = poll
        self.count = count
        self._clock = clock or Clock()
        self._url = _url(self._path)
        wanted = Wanted(tuple(match), tuple(ignore), recursive, skip_empty)
        self._folder = Folder(self._path, wanted, settle, self._clock.monotonic)

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until their count is reached or `stop` is set.

        Raises:
            ConfigurationError: There is no such folder at the start, or it cannot be read.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        lookout = Lookout(
            self._folder,
            recursive=self._recursive,
            poll=self._poll,
            monotonic=self._clock.monotonic,
        )
        written = 0
        try:
            lookout.start(existing=self._existing)
            while True:
                # While it is away, all that was in it would count as deleted.
                findings = self._folder.findings() if lookout.look() else ()
                for finding in findings:
                    if finding.kind not in self._kinds:
                        continue
                    outlet.emit(self._event(finding))
                    written += 1
                    if written == self.count:
                        outlet.flush()
                        return
                outlet.flush()
                if self._is_over(outlet, stop, lookout):
                    return
        finally:
            lookout.close()

    def _is_over(self, outlet: Outlet, stop: Stop, lookout: Lookout) -> bool:
        """Wait until there may be something to do; return whether `stop` is set."""
        poller = select.poll()
        poller.register(stop.fileno(), select.POLLIN)
        poller.register(lookout.fileno(), select.POLLIN)
        poller.register(outlet.fileno(), 0)  # POLLERR comes unasked.
        # A little longer than due, so as not to come too early by a rounding.
        ready = dict(poller.poll((poll_time(lookout.due()) or 0) + 1))
        if ready.get(outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone
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
            id=digest(url, finding.kind if finding.kind is Kind.DELETED else "", state),
            subject=name,
            time=rfc3339(self._clock.time()),
        )


def _text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _url(path: str) -> str:
    """Return the file: URI of `path` (RFC 8089), whatever bytes it has."""
    return f"file://{quote(os.fsencode(Path(path)))}"
