"""Timestamp: a moment, a day or a time of day as ISO 8601 text that can be compared."""

from datetime import UTC, date, datetime, time
from typing import Any, Self
from zoneinfo import ZoneInfo


class Timestamp(str):
    """A moment, a day or a time of day as text, such as `2026-12-24T17:00:00Z`.

    It is a str, so that old rules can join it with other text and write it into metadata. `<`,
    `<=`, `>` and `>=` compare the moments; one without a time zone counts as UTC. `==` compares
    the text.
    """

    __slots__ = ()

    def __new__(cls, said: Any = None) -> Self:
        """Make a Timestamp from ISO 8601 text, a datetime, date or time; None means now, in UTC.

        Raises:
            ValueError: The text is not ISO 8601.
        """
        if said is None:
            said = datetime.now(UTC)
        if isinstance(said, datetime):
            text = said.isoformat().replace("+00:00", "Z")
        elif isinstance(said, date | time):
            text = said.isoformat()
        else:
            text = str(said).strip()
            _read(text)
        return super().__new__(cls, text)

    @property
    def value(self) -> datetime | date | time:
        """The value as a datetime, date or time."""
        return _read(self)

    def has_tz(self) -> bool:
        """Return whether it has a time zone."""
        value = self.value
        return isinstance(value, datetime | time) and value.tzinfo is not None

    def assume(self, zone: str) -> "Timestamp":
        """Return the same time with the time zone `zone`, such as Europe/Oslo, if it has none.

        Raises:
            ValueError: There is no such time zone, or this is a day or a time of day.
        """
        if self.has_tz():
            return self
        try:
            found = ZoneInfo(zone)
        except (LookupError, OSError, ValueError) as error:
            raise ValueError(f"there is no time zone '{zone}'") from error
        return Timestamp(self._moment().replace(tzinfo=found))

    def utc(self) -> "Timestamp":
        """Return the same moment in UTC; without a time zone it counts as UTC.

        Raises:
            ValueError: This is a day or a time of day.
        """
        return Timestamp(_in_utc(self._moment()))

    def _moment(self) -> datetime:
        value = self.value
        if isinstance(value, datetime):
            return value
        raise ValueError(f"'{self}' is not a moment: it has no day, or no time of day")

    def __lt__(self, other: object) -> bool:
        return _order(self) < _order(other)

    def __le__(self, other: object) -> bool:
        return _order(self) <= _order(other)

    def __gt__(self, other: object) -> bool:
        return _order(self) > _order(other)

    def __ge__(self, other: object) -> bool:
        return _order(self) >= _order(other)


def _read(text: str) -> datetime | date | time:
    # A date first: datetime would read "2026-12-24" as midnight of that day.
    for kind in (date, datetime, time):
        try:
            return kind.fromisoformat(text)
        except ValueError:
            continue
    raise ValueError(f"'{text}' is not ISO 8601: expected a time such as 2026-12-24T17:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)


def _order(said: object) -> str:
    # ISO 8601 in one time zone sorts as text; so a day can be compared with a moment, too.
    value = Timestamp(said).value
    if isinstance(value, datetime):
        return _in_utc(value).isoformat()
    return value.isoformat()
