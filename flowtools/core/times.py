"""Reads and writes moments and durations, as people and event lines write them."""

import re
import time
from datetime import UTC, datetime, timedelta

from flowtools.core.event import Event

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# Bounded, so that no duration can be infinite.
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_PART = re.compile(rf"({_NUMBER})(ms|s|m|h|d|w)")
_WHOLE = re.compile(rf"(?:{_NUMBER}(?:ms|s|m|h|d|w))+")

_LEAP = re.compile(r"(T[0-9]{2}:[0-9]{2}):60")
_MIDNIGHT = re.compile(r"T24:00((?::00(?:[.,]0+)?)?)(?=$|[Z+-])")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` means.

    A number alone means seconds. The units are `ms`, `s`, `m`, `h`, `d` and `w` (weeks), and
    several parts are added: `1h30m` is 5400. Case does not matter.

    Raises:
        ValueError: `text` has another form.
    """
    text = text.strip().lower()
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"'{text}' is not a length of time such as 90, 90s, 5m, 2h or 1h30m")
    return sum(float(part[1]) * _UNITS[part[2]] for part in _PART.finditer(text))


def short_duration(seconds: float) -> str:
    """Return `seconds` in at most two units, for people: 0.4s, 12s, 5m 3s, 2h 10m, 3d 4h."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = int(seconds)
    for size, unit, small, below in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size}{unit}" + (f" {rest}{below}" if rest else "")
    return f"{whole}s"


def instant(text: str | None) -> float | None:
    """Return the moment of an RFC 3339 text in seconds since the epoch; None if it is not one.

    A leap second (:60) counts as the second after :59. 24:00:00 is midnight of the next day (ISO
    8601, 5.3.2). Lower case is accepted (RFC 3339, 5.6). A time without a zone is taken as UTC.
    """
    # Python's datetime knows no :60, and in older versions no 24:00. Both are replaced by a moment
    # that it knows, and the difference is added afterwards.
    said = (text or "").strip().upper()
    is_leap = _LEAP.search(said)
    said, is_midnight = _MIDNIGHT.subn(r"T00:00\1", _LEAP.sub(r"\1:59", said))
    try:
        moment = datetime.fromisoformat(said)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        later = timedelta(days=is_midnight, seconds=1 if is_leap else 0)
        return (moment.astimezone(UTC) + later).timestamp()
    except (ValueError, OverflowError):
        return None


def http_date(text: str) -> float | None:
    """Return an HTTP date (RFC 9110, 5.6.7) in seconds since the epoch; None if it is not one.

    A date without a zone, as in the obsolete form of asctime(3), is in UTC.
    """
    from email.utils import parsedate_to_datetime  # Rarely needed, and it takes long to load.

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def happened_at(event: Event) -> float | None:
    """Return the time of `event` in seconds since the epoch; None if it has no valid time."""
    said = event.attributes.get("time")
    return instant(said) if isinstance(said, str) else None


def parse_moment(text: str) -> float:
    """Return the moment that `text` means, in seconds since the epoch.

    `text` is an RFC 3339 time (`2026-01-31T12:00:00Z`), a day (`2026-01-31`: its beginning in
    UTC), or a duration before now (`90s`, `30m`, `2h`, `7d`).

    Raises:
        ValueError: `text` has another form.
    """
    text = text.strip()
    moment = instant(f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)
    if moment is not None:
        return moment
    try:
        return max(0.0, time.time() - parse_duration(text))
    except ValueError:
        raise ValueError(
            f"'{text}' is not a moment: expected a time such as 2026-01-31T12:00:00Z, a day such"
            " as 2026-01-31, or how long ago, such as 90s, 30m, 2h, 7d"
        ) from None
