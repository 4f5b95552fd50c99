"""Write reports as event lines, count them, and settle those that are not wanted."""

from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.source.clock import Clock
from flowtools.source.folder.delivery import Window
from flowtools.source.folder.description import Description
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Report
from flowtools.source.folder.rules import Rules
from flowtools.source.folder.state import State

log = get_log("flowtools.source.watch")


class Writing:
    """Writes reports to an outlet, and has them remembered in the state; for one thread.

    Attributes:
        written: Number of events that have been written; repeated ones are not counted.
    """

    def __init__(
        self,
        path: str,
        rules: Rules,
        outlet: Outlet,
        clock: Clock,
        state: State | None,
        window: Window | None,
    ) -> None:
        """Prepare to write the reports about the folder `path` to `outlet`.

        Without `window` an event is done once it has been written.
        """
        self.written = 0
        self._path = path
        self._rules = rules
        self._kinds = rules.kinds()
        self._description = Description(path)
        self._outlet = outlet
        self._clock = clock
        self._state = state
        self._window = window
        self._settled: list[Report] = []

    def write(self, report: Report, *, again: bool = False) -> None:
        """Write the event of `report` if it is wanted; it may stay in a buffer."""
        if report.kind is Kind.STALLED:
            log.warning(
                "'%s' has not changed for %g s and is not whole: %s",
                text_of(f"{self._path}/{report.name}"),
                self._rules.stalled,
                report.reason,
            )
        is_wanted = report.kind in self._kinds
        if is_wanted:
            event = self._description.event(report, self._clock.time())
            if again:
                event.attributes["redelivered"] = True
            if self._window is not None:
                self._window.add(report, event)
            self._outlet.emit(event)
            self.written += not again
        if self._window is not None and report.kind is None and report.reason is not None:
            # Its checksum was wrong: there is no event, but its files go to the failed folder.
            self._window.clear(report, done=False)
        elif self._state is not None and (self._window is None or not is_wanted):
            # Not remembered before `flush`: if the reader has gone, it must be reported again.
            self._settled.append(report)

    def flush(self) -> None:
        """Flush the outlet, and then have the reports remembered whose lines it has taken.

        Raises:
            ReaderGone: Nobody reads any more; these reports are not remembered.
        """
        self._outlet.flush()
        if self._state is not None:
            for report in self._settled:
                self._state.remember(report.members)
            self._settled.clear()
            self._state.save()
