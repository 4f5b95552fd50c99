"""Translate cron expressions as people write them into the form that cronsim reads.

cronsim knows the syntax of Debian's cron, and also `#` and `L`. This module adds names such as
`@daily`, ranges that wrap (`22-3`, `FRI-MON`, `NOV-FEB`), and Quartz's `15W`, the weekday nearest
to the 15th.
"""

import re
from calendar import monthrange
from datetime import datetime
from typing import NamedTuple

from flowtools.core.errors import UsageError

NAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""The names of crontab(5), with the expressions that they stand for."""

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

# For each field, from seconds to weekdays: its first and last value, and the names of its values.
_FIELDS = ((0, 59, ()), (0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS), (0, 6, _DAYS))
_DAY = 3

_RANGE = re.compile(r"(\w+)-(\w+)(?:/(\d+))?")
_NEAREST = re.compile(r"(\d{1,2})W")


class Expression(NamedTuple):
    """An expression in cronsim's form, with the conditions that cronsim cannot express.

    Attributes:
        text: The expression.
        nearest: Days of the month; only the weekday nearest to each of them matches. Empty: every
            day matches.
        is_fixed: Whether the expression names a fixed minute and hour: a change to summer time then
            moves a tick instead of skipping it.
    """

    text: str
    nearest: tuple[int, ...]
    is_fixed: bool

    def means(self, moment: datetime) -> bool:
        """Return whether `moment`, which matches `text`, is also on a day that `nearest` allows."""
        return not self.nearest or any(
            moment.day == nearest_weekday(moment.year, moment.month, day) for day in self.nearest
        )


def read(expression: str) -> Expression:
    """Return `expression` in cronsim's form; cronsim itself refuses what it does not know.

    Raises:
        UsageError: A name is unknown, or `W` is combined with what it cannot be combined with.
    """
    text = expression.strip()
    if text.startswith("@"):
        if text.lower() not in NAMES:
            raise UsageError(
                f"'{expression}' is not a cron expression: expected five fields, or one of"
                f" {', '.join(NAMES)}"
            )
        text = NAMES[text.lower()]
    fields = text.upper().split()
    if len(fields) not in (5, 6):
        return Expression(text, (), False)
    first = 6 - len(fields)
    nearest: tuple[int, ...] = ()
    # LW, the last weekday of the month, is left to cronsim.
    if "W" in fields[_DAY - first].replace("LW", ""):
        nearest = _nearest(expression, fields[_DAY - first], fields[-1])
        # Two days at most are between a day and its nearest weekday.
        days = {day + off for day in nearest for off in range(-2, 3) if 1 <= day + off <= 31}
        fields[_DAY - first] = ",".join(map(str, sorted(days)))
    for number, field in enumerate(fields, first):
        terms = [_unwrapped(term, *_FIELDS[number]) for term in field.split(",")]
        fields[number - first] = ",".join(terms)
    # Ticks with a star for the minute or hour follow real time when the clocks change: see Cron.
    is_fixed = len(fields) == 5 and not any(field.startswith("*") for field in fields[:2])
    return Expression(" ".join(fields), nearest, is_fixed)


def nearest_weekday(year: int, month: int, day: int) -> int | None:
    """Return the day from Monday to Friday nearest to `day` in the same month; None: no such day.

    For a Saturday that is the Friday before, for a Sunday the Monday after, unless that day is in
    another month.
    """
    first, last = monthrange(year, month)
    if not 1 <= day <= last:
        return None
    weekday = (first + day - 1) % 7
    if weekday == 5:
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < last else day - 2
    return day


def _nearest(expression: str, days: str, weekdays: str) -> tuple[int, ...]:
    found = [_NEAREST.fullmatch(term) for term in days.split(",")]
    numbers = [int(each[1]) for each in found if each is not None]
    if len(numbers) != len(found) or not all(1 <= number <= 31 for number in numbers):
        raise UsageError(
            f"'{expression}' is not a cron expression: a day such as 15W can be listed only with"
            " others of that form, such as 1W,15W"
        )
    if weekdays != "*":
        raise UsageError(
            f"'{expression}' is not a cron expression: with a day such as 15W the day of the week"
            " must be *"
        )
    return tuple(numbers)


def _unwrapped(term: str, first: int, last: int, names: tuple[str, ...]) -> str:
    """Return a range that wraps as a list of its values, and anything else as it is."""
    found = _RANGE.fullmatch(term)
    if found is None:
        return term
    values = [
        first + names.index(text) if text in names else int(text) if text.isdigit() else None
        for text in (found[1], found[2])
    ]
    start, end = values
    if start is None or end is None or start <= end or start > last or end < first:
        return term
    step = int(found[3] or 1)
    if not step:
        return term
    return ",".join(map(str, [*range(start, last + 1), *range(first, end + 1)][::step]))
