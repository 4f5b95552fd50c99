"""Saying again, at growing intervals, that something is still wrong."""

from time import monotonic

AGAIN_AFTER = (60.0, 300.0, 900.0, 3600.0)
"""Seconds after which it is said again; after these, once more after each further hour."""


class Reminder:
    """Knows since when something is wrong, and when that is to be said again.

    Attributes:
        since: When it began (monotonic clock); None while all is well.
        said: How often it has been said since then.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.said = 0

    def begin(self, now: float | None = None) -> None:
        """Note that it is wrong (`now` by the monotonic clock); what has begun goes on."""
        if self.since is None:
            self.since = monotonic() if now is None else now
            self.said = 0

    def end(self) -> None:
        """Note that all is well."""
        self.since = None
        self.said = 0

    def due(self, now: float | None = None) -> float | None:
        """Return for how many seconds it has been wrong, if that is to be said now."""
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
        return AGAIN_AFTER[-1] * (self.said - len(AGAIN_AFTER) + 2)
