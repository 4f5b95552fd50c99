"""The warning about a pipeline that stands still: the window is full, nothing is acknowledged.

Such a pipeline would otherwise wait in silence. It is not an error that could be mended here: a
line that a filter has dropped is never acknowledged, and no command can tell that from a slow
Worker. So the warning names the usual causes, and is repeated at growing intervals.
"""

from time import monotonic

from flowtools.core.log import get_log
from flowtools.core.reminder import Reminder
from flowtools.core.text import counted

_log = get_log("flowtools.ack")


class Stall:
    """Watches a window, and warns when it has been full for long with nothing settled.

    The thread that receives the acknowledgements calls `moved` and `look`.

    Attributes:
        held: Number of events that stand still; 0 before the first warning about them.
        warnings: Number of warnings so far.
    """

    def __init__(self) -> None:
        self.held = 0
        self.warnings = 0
        self._still = Reminder()

    @property
    def seconds(self) -> float:
        """Seconds since something moved; 0 before the first warning. Any thread may ask."""
        since = self._still.since
        return monotonic() - since if since is not None and self._still.said else 0.0

    def moved(self) -> None:
        """Note that an event has been settled."""
        if self._still.said:
            _log.warning("events are acknowledged again")
        self._still.end()
        self.held = 0

    def look(self, held: int, now: float | None = None) -> None:
        """Note that `held` events fill the window (0: it has room); warn when it is time."""
        if not held:
            # The window has room, so that nothing is held up.
            self._still.end()
            self.held = 0
            return
        self._still.begin(now)
        seconds = self._still.due(now)
        if seconds is not None:
            self.warnings += 1
            self.held = held
            _log.warning(
                "%s: nothing has been acknowledged for %d s; usual causes: a filter in the pipe"
                " drops lines (flow-jq acknowledges what it drops), a Worker hangs, a pool pauses"
                " because its server is down, the reader of a filter has died",
                counted(
                    held,
                    "event",
                    "is unacknowledged and the source waits for it",
                    "are unacknowledged and the source waits for them",
                ),
                seconds,
            )
