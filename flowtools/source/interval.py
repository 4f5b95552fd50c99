"""A tick every so many seconds, or on a cron expression: Interval."""

import logging
from datetime import datetime, tzinfo
from math import inf

from flowtools.core.described import Described
from flowtools.core.errors import UsageError
from flowtools.core.event import Event, digest, rfc3339
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.wait import Stop
from flowtools.source.clock import Clock
from flowtools.source.daytime import Window, local_zone
from flowtools.source.schedule import Cron, Due, Every, Schedule

log = get_log("flowtools.source.interval")


class Interval(Described):
    """Ticks, each an event of type flow.interval.tick.

    A tick that comes while the last one is still unread in the pipe is skipped, and
    counted in the data of the next: `{"number": 7, "skipped": 2}`.

    Attributes:
        count: Number of events after which it ends; None: no limit.
    """

    FACTS = ("_name", "count")

    def __init__(
        self,
        seconds: float | None = None,
        *,
        cron: str | None = None,
        window: Window | None = None,
        tz: tzinfo | None = None,
        count: int | None = None,
        name: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Tick every `seconds`, or on the expression `cron`.

        Args:
            seconds: Seconds from one tick to the next; the first comes at once.
            cron: A name such as @daily, five fields, or six with the seconds in front.
            window: The part of the day in which there are ticks; None: all day.
            tz: The time zone of `cron` and `window`; None: the machine's.
            count: Number of events after which it ends.
            name: Subject of the events; None: the interval or the expression.
            clock: The clock; tests replace it.

        Raises:
            UsageError: Both or neither of `seconds` and `cron` are given, or the value is invalid.
            ConfigurationError: The machine's time zone is needed and cannot be determined.
        """
        clock = clock or Clock()
        if (cron or window) and tz is None:
            tz = local_zone()
        self._schedule = _schedule(seconds, cron, clock, window, tz)
        self._tz = tz
        self._said = -inf
        self._name = name or cron or f"{seconds:g}s"
        self.count = count
        self._clock = clock

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write ticks to `outlet` until `count` have been written or `stop` is set.

        Raises:
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        number = skipped = 0
        while not stop.is_set():
            due = self._schedule.due()
            if due:
                skipped += due.missed
                # Before the first tick, bytes that are unread in the pipe are not ours.
                if number and outlet.unread():
                    skipped += 1
                    log.debug("a tick is skipped: the reader has not taken the one before")
                else:
                    number += 1
                    outlet.emit(self._event(due, number, skipped))
                    outlet.flush()
                    log.debug(
                        "tick %d is written; %s skipped before it", number, counted(skipped, "tick")
                    )
                    skipped = 0
                    if number == self.count:
                        return
            self._say_next()
            self._clock.wait(self._schedule.wait(), stop, outlet)

    def _say_next(self) -> None:
        if not log.is_enabled_for(logging.INFO):
            return
        instant = self._schedule.next()
        # The clock drifts by fractions of a second: report the next tick again only for more.
        if instant == inf or abs(instant - self._said) < 1.0:
            return
        self._said = instant
        moment = datetime.fromtimestamp(instant, self._tz).astimezone(self._tz)
        log.info("the next tick is due at %s", moment.isoformat(timespec="seconds"))

    def _event(self, due: Due, number: int, skipped: int) -> Event:
        return Event(
            "flow.interval.tick",
            {"number": number, "skipped": skipped},
            source="flow-interval",
            id=digest(self._name, due.key),
            subject=self._name,
            time=rfc3339(due.instant),
        )


def _schedule(
    seconds: float | None,
    cron: str | None,
    clock: Clock,
    window: Window | None,
    tz: tzinfo | None,
) -> Schedule:
    if (seconds is None) == (cron is None):
        raise UsageError("give either SECONDS or a cron expression")
    if seconds is None:
        assert cron is not None
        assert tz is not None
        return Cron(cron, clock, tz, window)
    if not 0.001 <= seconds < float("inf"):
        raise UsageError(f"invalid interval of {seconds:g} seconds: expected 0.001 or more")
    return Every(seconds, clock, window, tz)
