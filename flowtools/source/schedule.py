"""When ticks are due: every so many seconds, or on a cron expression, inside a window.

A schedule never sleeps. Its caller asks `due()` and then waits for `wait()` seconds before it asks
again. Asking late does no harm: missed ticks are counted, not made up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from math import inf
from typing import Protocol

from flowtools.core.errors import UsageError
from flowtools.source.clock import Clock
from flowtools.source.cron import read
from flowtools.source.daytime import Window

RECHECK = 10.0
"""Maximum time between two looks at the wall clock, in seconds, because someone may set it."""

STEP = 60.0
"""Seconds by which the wall clock may go back without a cron tick coming a second time."""

DAYS = 3
"""Number of days in which a window opens at least once."""

LEAP = 1000
"""Number of missed cron ticks that are counted exactly when the wall clock leaps forward."""


@dataclass(frozen=True)
class Due:
    """A tick that is due.

    Attributes:
        instant: Scheduled time, in seconds since the epoch.
        key: Unique name of the tick within its schedule.
        missed: Number of ticks that were missed since the last one.
    """

    instant: float
    key: str
    missed: int


class Schedule(Protocol):
    """Anything that knows when ticks are due."""

    def due(self) -> Due | None:
        """Return the latest tick whose time has come, once; None if there is none."""

    def wait(self) -> float:
        """Return the seconds after which to ask again."""

    def next(self) -> float:
        """Return when the next tick is due, in seconds since the epoch; inf: never."""


class Every:
    """A tick at once and every `seconds` after, by the monotonic clock.

    With a window, the ticks begin anew each time that it opens, with one at the opening.
    """

    def __init__(
        self, seconds: float, clock: Clock, window: Window | None = None, zone: tzinfo | None = None
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._window = window
        self._zone = zone
        self._opened: tuple[float, float] | None = None
        self._next = 0

    def due(self) -> Due | None:
        """Return the latest tick whose time has come, once; None if there is none."""
        wall, now = self._clock.time(), self._clock.monotonic()
        if not self._is_open(wall):
            self._opened = None
            return None
        if self._opened is None:
            self._opened = now, wall
            self._next = 0
        start, start_wall = self._opened
        missed = int((now - start) // self._seconds) - self._next
        if missed < 0:  # The next tick is still to come.
            return None
        number = self._next + missed
        self._next = number + 1
        # From the start, not from the last tick: rounding must not add up to a drift.
        late = now - (start + number * self._seconds)
        return Due(wall - late, f"{start_wall:.6f}+{number}", missed)

    def wait(self) -> float:
        """Return the seconds after which to ask again."""
        left = inf
        if self._opened is not None:
            left = self._opened[0] + self._next * self._seconds - self._clock.monotonic()
        if self._window is None:
            return left
        # Windows open and close, and zones change their offset, as a minute begins.
        return min(left, RECHECK, 60.0 - self._clock.time() % 60.0)

    def next(self) -> float:
        """Return when the next tick is due, in seconds since the epoch; inf: never."""
        wall, now = self._clock.time(), self._clock.monotonic()
        if self._opened is not None:
            instant = wall + self._opened[0] + self._next * self._seconds - now
            if self._is_open(instant):
                return instant
        # The first tick of a window is at its opening.
        minute = wall - wall % 60.0
        openings = (minute + 60.0 * n for n in range(1, DAYS * 1440))
        return next((each for each in openings if self._opens(each)), inf)

    def _opens(self, instant: float) -> bool:
        return self._is_open(instant) and not self._is_open(instant - 60.0)

    def _is_open(self, instant: float) -> bool:
        if self._window is None:
            return True
        assert self._zone is not None
        return self._window.is_open(instant, self._zone)


class Cron:
    """Ticks at the times of a cron expression, by the wall clock in `zone`.

    Summer time works as in Debian's cron. A tick at a fixed hour that the spring night leaves out
    comes right after the gap, and comes once in autumn. Hourly and more frequent ticks follow real
    time.
    """

    def __init__(
        self, expression: str, clock: Clock, zone: tzinfo, window: Window | None = None
    ) -> None:
        """Read a name such as @daily, five fields, or six with the seconds in front.

        Raises:
            UsageError: The text is not a cron expression, or it never matches.
        """
        self._expression = expression
        self._read = read(expression)
        self._clock = clock
        self._zone = zone
        self._window = window
        self._after = clock.time()
        self._latest = self._after
        self._passed_by = 0
        if self._following() == inf:
            raise UsageError(f"the cron expression '{expression}' never matches a date")

    def due(self) -> Due | None:
        """Return the latest tick whose time has come, once; None if there is none."""
        now = self._clock.time()
        if now < self._after - STEP:
            # The clock was set back: the ticks of that time come again, with the same ids.
            self._after = now
        for instant in self._passed(now):
            if self._is_open(instant):
                self._latest = instant
                self._passed_by += 1
        if not self._passed_by or not self._is_open(now):
            return None
        missed, self._passed_by = self._passed_by - 1, 0
        return Due(self._latest, f"{self._latest:.0f}", missed)

    def wait(self) -> float:
        """Return the seconds after which to ask again."""
        return min(self._following() - self._clock.time(), RECHECK)

    def next(self) -> float:
        """Return when the next tick is due, in seconds since the epoch; inf: never."""
        # Step from tick to tick to the first one inside the window, then go back: `due` has to
        # find all of them.
        after = self._after
        try:
            for _ in range(LEAP):
                instant = self._following()
                if instant == inf or self._is_open(instant):
                    return instant
                self._after = instant
        finally:
            self._after = after
        return inf

    def _passed(self, now: float) -> Iterator[float]:
        counted = 0
        while (instant := self._following()) <= now:
            self._after = instant
            yield instant
            counted += 1
            if counted % LEAP == 0:
                # The clock may have leapt over years: approach the present by halves.
                self._after = (self._after + now) / 2

    def _following(self) -> float:
        from cronsim import CronSim, CronSimError

        try:
            for moment in CronSim(self._read.text, datetime.fromtimestamp(self._after, self._zone)):
                # In the repeated hour of autumn cronsim may return a time of its first half.
                if moment.timestamp() > self._after and self._read.means(moment):
                    return float(moment.timestamp())
        except CronSimError as error:
            text = str(error)
            raise UsageError(
                f"'{self._expression}' is not a cron expression: {text[:1].lower()}{text[1:]}; "
                "write five fields such as '*/5 * * * *'"
            ) from None
        return inf

    def _is_open(self, instant: float) -> bool:
        return self._window is None or self._window.is_open(instant, self._zone)
