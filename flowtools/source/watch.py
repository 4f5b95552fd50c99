"""HotFolder: an event for each file that has arrived whole in a folder, changed, or gone."""

import os
from dataclasses import replace
from typing import Any

from flowtools.core.errors import EventsFailed, ReaderGone
from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait
from flowtools.source.clock import Clock
from flowtools.source.folder.description import Description
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Report
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.state import State
from flowtools.source.folder.watcher import Watcher

GATHER = 0.02
"""Seconds over which notices gather, so that a file which is written in many pieces is looked at
once for all of them."""

BATCH = 100
"""Reports that are written before a stop is listened to and notices are read."""

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
        self._rules.templates()  # Refuses what cannot be meant.
        self.count = count
        self._clock = clock or Clock()
        self._description = Description(self._path)

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until their count is reached or `stop` is set.

        Raises:
            ConfigurationError: There is no such folder at the start, or it cannot be read; or
                the state file cannot be used.
            EventsFailed: Files were not what their checksum says.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        state = State(self._rules.state, self._path) if self._rules.state is not None else None
        try:
            watcher = Watcher(self._path, self._rules, state, self._clock.monotonic)
            try:
                watcher.start()
                self._report_all(watcher, state, outlet, stop)
            finally:
                watcher.close()
        finally:
            if state is not None:
                state.close()
        if watcher.refused:
            raise EventsFailed(f"{watcher.refused} files were refused by --verify")

    def _report_all(
        self, watcher: Watcher, state: State | None, outlet: Outlet, stop: Stop
    ) -> None:
        written = 0
        while True:
            for report in watcher.reports(BATCH):
                written += self._emit(outlet, report)
                if state is not None:
                    state.remember(report.members)
                if written == self.count:
                    break
            outlet.flush()
            if state is not None:
                state.save()
            if written == self.count or _is_over(outlet, stop, watcher):
                return

    def _emit(self, outlet: Outlet, report: Report) -> bool:
        """Write the event of `report`; return whether it is wanted."""
        if report.kind is Kind.STALLED:
            log.warning(
                "'%s' has not changed for %g s and is not whole: %s",
                text_of(f"{self._path}/{report.name}"),
                self._rules.stalled,
                report.reason,
            )
        if report.kind not in self._kinds:
            return False
        outlet.emit(self._description.event(report, self._clock.time()))
        return True


def _is_over(outlet: Outlet, stop: Stop, watcher: Watcher) -> bool:
    """Wait until there may be something to do; return whether `stop` is set."""
    # A little longer than due, so as not to come too early by a rounding.
    due = watcher.due()
    ready = wait(stop, *watcher.filenos(), gone=outlet, seconds=due + 0.001 if due else 0.0)
    if outlet.fileno() in ready:
        raise ReaderGone
    if stop.fileno() in ready:
        return True
    return bool(ready) and stop.wait(GATHER)
