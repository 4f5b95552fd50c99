"""Windows of the day in which something may happen, and the time zone that they are given in."""

import os
import re
from dataclasses import dataclass
from datetime import datetime, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from flowtools.core.errors import ConfigurationError, UsageError

_FORM = re.compile(r"(?:([01]\d|2[0-3]):([0-5]\d))?-(?:([01]\d|2[0-3]):([0-5]\d)|(24:00))?")


@dataclass(frozen=True)
class Window:
    """The part of each day from `start` up to, and not including, `end`.

    The window follows the local time of day. In the night in which clocks go forward, a window that
    starts inside the missing hour opens right after it; one that also ends inside the missing hour
    opens right after it for its whole length. In the night in which clocks go back, a window inside
    the repeated hour is open twice.
    """

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read `22:00-04:00` (across midnight), `22:00-` (to midnight) or `-06:00` (from midnight).

        Raises:
            UsageError: The text has another form, or the window is empty.
        """
        found = _FORM.fullmatch(text)
        if not found or text == "-":
            raise UsageError(f"'{text}' is not a window: write 22:00-04:00, 22:00- or -06:00")
        hour, minute, end_hour, end_minute, _ = found.groups()
        start = time(int(hour or 0), int(minute or 0))
        end = time(int(end_hour or 0), int(end_minute or 0))
        if start == end:
            raise UsageError(
                f"the window '{text}' is empty: it ends when it starts; leave it out for all day"
            )
        return cls(start, end)

    def __contains__(self, moment: datetime) -> bool:
        shown = moment.time()
        if self.start < self.end:
            return self.start <= shown < self.end
        return shown >= self.start or shown < self.end

    def is_open(self, instant: float, zone: tzinfo) -> bool:
        """Return whether the window is open at `instant` (seconds since the epoch) in `zone`."""
        moment = datetime.fromtimestamp(instant, zone)
        if moment in self:
            return True
        length = self._minutes(self.end) - self._minutes(self.start)
        if length <= 0:
            return False  # Across midnight: such a window does not fit into a missing hour.
        # A window inside the missing hour has no local time. It opens when the gap ends, for its
        # whole length: so look whether clocks were put forward within that length.
        forward = _gained(instant - length * 60, instant, zone)
        if not forward:
            return False
        gap_ends = _last_change(instant - length * 60, instant, zone)
        shown = datetime.fromtimestamp(gap_ends, zone).time()
        ends = self._minutes(shown)
        return ends - forward / 60 <= self._minutes(self.start) and self._minutes(self.end) <= ends

    @staticmethod
    def _minutes(shown: time) -> float:
        return shown.hour * 60 + shown.minute


def _offset(instant: float, zone: tzinfo) -> float:
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def _gained(earlier: float, later: float, zone: tzinfo) -> float:
    """Return the seconds by which clocks were put forward between two times; 0 if they were not."""
    return max(0.0, _offset(later, zone) - _offset(earlier, zone))


def _last_change(earlier: float, later: float, zone: tzinfo) -> float:
    """Return the whole second since which the offset of `later` has been in force."""
    before, after = int(earlier), int(later)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == _offset(later, zone):
            after = middle
        else:
            before = middle
    return after


def zone(name: str) -> ZoneInfo:
    """Return the time zone that is called `name` in the IANA database, such as Europe/Oslo.

    Raises:
        UsageError: This machine does not know a zone of that name.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone '{name}'; write Europe/Oslo or UTC, or install tzdata"
        ) from None


def local_zone() -> ZoneInfo:
    """Return the time zone that TZ names, else the machine's own, with its summer time.

    Raises:
        ConfigurationError: TZ has a form that only the C library reads.
    """
    name = os.environ.get("TZ", "/etc/localtime").removeprefix(":")
    path = Path(name)
    if not path.is_absolute():
        # An empty TZ is UTC to the C library, too.
        try:
            return zone(name or "UTC")
        except UsageError:
            raise ConfigurationError(
                f"cannot tell the time zone from TZ '{name}'; name one with --tz"
            ) from None
    try:
        with path.open("rb") as file:
            return ZoneInfo.from_file(file, key=str(path))
    except FileNotFoundError:
        return zone("UTC")  # As the C library does: a container often has no /etc/localtime.
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"cannot read the time zone from '{path}': {error}; name one with --tz"
        ) from None
