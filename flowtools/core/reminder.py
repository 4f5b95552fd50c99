"""Repeats a warning at growing intervals while something is still wrong.

A warning that is printed once is soon out of sight, and one that is printed every second hides all
others. The owner asks `due` now and then; this class has no thread or timer of its own.
"""

from time import monotonic

AGAIN_AFTER = (60.0, 300.0, 900.0, 3600.0)
"""Times since the beginning, in seconds, at which to warn; then once more for each further hour."""


class Reminder:
    """Remembers since when something is wrong, and when to warn again.

    Attributes:
        since: The time at which it began (monotonic clock); None while all is well.
        said: Number of warnings since then.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.said = 0

    def begin(self, now: float | None = None) -> None:
        """Note that something is wrong since `now` (monotonic clock), if it was not before."""
        if self.since is None:
            self.since = monotonic() if now is None else now
            self.said = 0

    def end(self) -> None:
        """Note that all is well."""
        self.since = None
        self.said = 0

    def due(self, now: float | None = None) -> float | None:
        """Return for how many seconds it has been wrong if a warning is due now, else None."""
        if self.since is None:
            return None
        seconds = (monotonic() if now is None else now) - self.since
        if seconds < self._next_after():
            return None
        self.said += 1
        return seconds

    def _next_after(self) -> float:
        if self.said < len(AGAIN_AFTER):
            return AGAIN_AFTER[self.said]
        # The last of AGAIN_AFTER was one hour; then come two hours, three, and so on.
        return AGAIN_AFTER[-1] * (self.said - len(AGAIN_AFTER) + 2)
