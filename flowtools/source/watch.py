"""HotFolder: an event for each file of a folder that is complete, has changed, or is gone.

The thread that calls `run` finds the changes (folder/watcher.py), writes their events, and settles
them. It sleeps until a descriptor is readable (notices, verdicts, acknowledgements, finished moves)
or until a file is due for another look. Threads of their own read checksums, move files and receive
acknowledgements; they only hand over results, so only one thread knows the state of the files.
"""

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckInlet, AckSocket
from flowtools.core.described import Described
from flowtools.core.errors import EventsFailed, ReaderGone
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.wait import Stop, wait
from flowtools.source.clock import Clock
from flowtools.source.folder.delivery import Window
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.state import State
from flowtools.source.folder.watcher import Watcher
from flowtools.source.folder.writing import Writing

GATHER = 0.02
"""Seconds to wait after a notice for further ones, so that a file which is written in many pieces
is looked at only once."""

BATCH = 100
"""Number of reports that are written before the next look for a stop and for notices."""

FULL = 1.0
"""Seconds between two looks while the window is full and nothing happens."""

log = get_log("flowtools.source.watch")


class HotFolder(Described):
    """A source of the files in one folder of this machine.

    The event types are flow.path.created, modified and deleted, and stalled if that is asked for.
    `data` is an object of path, name (the path below the folder), size (bytes), updated (when it
    was modified), url, and moved_from (the former name of a file that was renamed, else null). A
    name that is not UTF-8 is shown with backslashes; its `url` is exact.

    The folder may disappear and come back: the changes in between are then found and reported.

    Attributes:
        count: Number of events after which it ends; None: no limit.
        inlet: Makes the receiver of acknowledgements, with ack="worker".
        redelivers: Whether events that are not done are reported again at the next start.
    """

    FACTS = ("_path", "count")

    def __init__(
        self,
        directory: str,
        rules: Rules | None = None,
        *,
        count: int | None = None,
        clock: Clock | None = None,
        inlet: Callable[[], AckInlet] = AckSocket,
        **more: Any,
    ) -> None:
        """Prepare to watch `directory`.

        Args:
            directory: The path of the folder.
            rules: Which files are reported, when, and what happens to them afterwards.
            count: Number of events after which it ends.
            clock: The clock; tests replace it.
            inlet: Makes the receiver of acknowledgements.
            more: Attributes of `rules` to change, such as `existing=True, settle=0`.

        Raises:
            UsageError: The rules contradict each other.
            TypeError: `more` has a name that Rules does not have.
        """
        self._path = os.path.abspath(directory)  # noqa: PTH100  Path would resolve links
        self._rules = replace(rules or Rules(), **more)
        self._rules.check()
        self.count = count
        self.inlet = inlet
        self.redelivers = self._rules.ack == "worker"
        self._clock = clock or Clock()

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until their count is reached or `stop` is set.

        With ack="worker" it then waits for the missing acknowledgements.

        Raises:
            ConfigurationError: There is no such folder at the start, or it cannot be read; or
                the state file cannot be used.
            EventsFailed: Files did not match their checksums.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        rules, window = self._rules, None
        # Closed in reverse order: the window finishes its moves, and only then does the state,
        # which has to remember them, write its file a last time.
        with ExitStack() as ends:
            state = State(rules.state, self._path) if rules.state is not None else None
            if state is not None:
                ends.callback(state.close)
            watcher = Watcher(self._path, rules, state, self._clock.monotonic)
            ends.callback(watcher.close)
            watcher.start()
            if self.redelivers:
                window = self._window(watcher, state)
                ends.callback(window.close)
            writing = Writing(self._path, rules, outlet, self._clock, state, window)
            try:
                self._write_all(watcher, window, writing, outlet, stop)
                if window is not None:
                    self._wait_until_settled(window, writing, outlet, stop)
            except ReaderGone:
                if window is not None:
                    window.settle_last(rules.drain)
                raise
        if watcher.refused:
            raise EventsFailed(
                f"{counted(watcher.refused, 'file', 'was', 'were')} refused by --verify"
            )

    def _window(self, watcher: Watcher, state: State | None) -> Window:
        return Window(
            self.inlet(),
            watcher.clearing(),
            state,
            watcher.leaving,
            watcher.left,
            self._rules.prefetch,
        )

    def _write_all(
        self, watcher: Watcher, window: Window | None, writing: Writing, outlet: Outlet, stop: Stop
    ) -> None:
        """Write the reports until there are enough events or `stop` is set."""
        fds = watcher.filenos() + (window.filenos() if window is not None else [])
        while True:
            room = BATCH
            if window is not None:
                window.settle()
                for report in window.again():
                    writing.write(report, again=True)
                room = min(BATCH, window.room())
            for report in watcher.reports(room):
                writing.write(report)
                if writing.written == self.count:
                    writing.flush()
                    return
            writing.flush()
            # With a full window reports may be waiting: `due` would be 0, and this loop would spin.
            if _is_over(outlet, stop, fds, watcher.due() if room else FULL):
                return

    def _wait_until_settled(
        self, window: Window, writing: Writing, outlet: Outlet, stop: Stop
    ) -> None:
        """Wait for acknowledgements that are missing, up to `drain` seconds after a stop."""
        parting: Parting | None = None
        while window.unsettled():
            window.settle()
            # After a stop nothing is written again: the next start reports it.
            for report in window.again() if parting is None else ():
                writing.write(report, again=True)
            writing.flush()
            if parting is None and stop.is_set():
                parting = window.part(self._rules.drain)
            if parting is not None and parting.is_late:
                log.warning(
                    "stopped with %s unacknowledged; reported again at the next start",
                    counted(window.unsettled(), "event"),
                )
                return
            # Once set, the stop's descriptor stays readable, and this loop would spin.
            waited = [] if parting is not None else [stop.fileno()]
            if outlet.fileno() in wait(*waited, *window.filenos(), gone=outlet, seconds=0.2):
                window.settle_last(self._rules.drain)
                if window.unsettled():
                    raise ReaderGone


def _is_over(outlet: Outlet, stop: Stop, fds: list[int], due: float) -> bool:
    """Wait up to `due` seconds, until there may be something to do; return whether to stop."""
    # A millisecond longer, so that rounding does not end the wait before anything is due.
    ready = wait(stop, *fds, gone=outlet, seconds=due + 0.001 if due else 0.0)
    if outlet.fileno() in ready:
        raise ReaderGone
    if stop.fileno() in ready:
        return True
    return bool(ready) and stop.wait(GATHER)
