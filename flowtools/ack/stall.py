"""The warning that a pipeline stands still: its window is full, and nothing is acknowledged."""

from time import monotonic

from flowtools.core.log import get_log

WARN_AFTER = (60.0, 300.0, 900.0, 3600.0)
"""Seconds of standstill after which it is said; then again after each further hour."""

_log = get_log("flowtools.ack")


class Stall:
    """Watches a window, and says when it has been full for long with nothing settled.

    For one thread: who receives the acknowledgements calls `moved` and `look`.

    Attributes:
        held: How many events stand still now; 0 before the first warning about them.
        warnings: How often that was said.
    """

    def __init__(self) -> None:
        self.held = 0
        self.warnings = 0
        self._since: float | None = None
        self._said = 0

    @property
    def seconds(self) -> float:
        """How long nothing has moved; 0 before the first warning. Any thread may ask."""
        since = self._since
        return monotonic() - since if since is not None and self._said else 0.0

    def moved(self) -> None:
        """Note that an event has been settled."""
        self._since = None
        if self._said:
            _log.warning("events are acknowledged again")
            self._said = 0
            self.held = 0

    def look(self, held: int, now: float | None = None) -> None:
        """Note that `held` events fill the window now (0: it has room); warn when it is time."""
        now = monotonic() if now is None else now
        if not held:
            self._since = None
            self._said = self.held = 0
        elif self._since is None:
            self._since = now
        elif now - self._since >= self._next_after():
            self._said += 1
            self.warnings += 1
            self.held = held
            _log.warning(
                "%d events are unacknowledged and nothing moves without them: none has been"
                " acknowledged for %d s; usual causes: a filter in the pipe drops lines"
                " (flow-jq acknowledges what it drops), a Worker hangs, a reader behind a"
                " filter is dead",
                held,
                now - self._since,
            )

    def _next_after(self) -> float:
        if self._said < len(WARN_AFTER):
            return WARN_AFTER[self._said]
        return WARN_AFTER[-1] * (self._said - len(WARN_AFTER) + 2)
