"""HotFolder: an event for each file that has arrived whole in a folder, changed, or gone."""

import os
from dataclasses import replace
from itertools import islice
from typing import Any

from flowtools.core.errors import ReaderGone
from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait
from flowtools.source.clock import Clock
from flowtools.source.folder.description import Description, text_of
from flowtools.source.folder.files import Finding
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.watcher import Watcher

GATHER = 0.02
"""Seconds over which notices gather, so that a file which is written in many pieces is looked at
once for all of them."""

BATCH = 200
"""Findings that are written before a stop is listened to and notices are read."""

log = get_log("flowtools.source.watch")


class HotFolder:
    """A source of the files in one folder of this machine.

    Its types are flow.path.created, modified and deleted, and stalled where that is asked for.
    `data` is an object of path, name (the path below the folder), size (bytes), updated (when it
    was modified), url, and moved_from (the name that the same file had before, where it had one).
    A name that is not UTF-8 is shown with backslashes; its `url` is exact.

    The folder may go and come back: what happened meanwhile is found out then.

    Attributes:
        count: End after so many events; None: go on.
    """

    def __init__(
        self,
        directory: str,
        rules: Rules | None = None,
        *,
        count: int | None = None,
        clock: Clock | None = None,
        **more: Any,
    ) -> None:
        """Prepare to watch `directory`.

        Args:
            directory: Its path.
            rules: Which files are reported, and when.
            count: End after so many events.
            clock: What tells the time.
            more: Attributes of `rules` that are to be different: `existing=True, settle=0`.

        Raises:
            UsageError: No kind of change is left.
            TypeError: `more` has a name that Rules does not have.
        """
        self._path = os.path.abspath(directory)  # noqa: PTH100  Path would resolve links
        self._rules = replace(rules or Rules(), **more)
        self._kinds = self._rules.kinds()
        self.count = count
        self._clock = clock or Clock()
        self._description = Description(self._path)

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until their count is reached or `stop` is set.

        Raises:
            ConfigurationError: There is no such folder at the start, or it cannot be read.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        watcher = Watcher(self._path, self._rules, self._clock.monotonic)
        written = 0
        try:
            watcher.start()
            while True:
                for finding in islice(watcher.findings(), BATCH):
                    written += self._emit(outlet, finding)
                    if written == self.count:
                        outlet.flush()
                        return
                outlet.flush()
                if _is_over(outlet, stop, watcher):
                    return
        finally:
            watcher.close()

    def _emit(self, outlet: Outlet, finding: Finding) -> bool:
        """Write the event of `finding`; return whether it is wanted."""
        if finding.kind is Kind.STALLED:
            log.warning(
                "'%s' has not changed for %g s and is not whole: %s",
                text_of(f"{self._path}/{finding.name}"),
                self._rules.stalled,
                finding.reason,
            )
        if finding.kind not in self._kinds:
            return False
        outlet.emit(self._description.event(finding, self._clock.time()))
        return True


def _is_over(outlet: Outlet, stop: Stop, watcher: Watcher) -> bool:
    """Wait until there may be something to do; return whether `stop` is set."""
    # A little longer than due, so as not to come too early by a rounding.
    due = watcher.due()
    ready = wait(stop, watcher, gone=outlet, seconds=due + 0.001 if due else 0.0)
    if outlet.fileno() in ready:
        raise ReaderGone
    if stop.fileno() in ready:
        return True
    return watcher.fileno() in ready and stop.wait(GATHER)
