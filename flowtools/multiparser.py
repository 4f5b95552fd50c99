"""MultiParser: converts text from other systems' files to values for Viz One's metadata.

    parser = MultiParser(type="datetime", format="%d/%m/%Y %H:%M", default_timezone="Europe/Oslo")
    payload["asset.retentionDate"] = parser.text("24/12/2026 18:00")

Formats are those of datetime.strptime. Any thread may use a parser: it does not change once it is
made.
"""

from datetime import UTC, date, datetime, time
from math import isfinite
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from flowtools.core.described import Described

if TYPE_CHECKING:
    from flowtools.vizone.client import Client
    from flowtools.vizone.dictionary import Term

    Value = str | int | float | datetime | date | time | Term

TYPES = ("string", "integer", "float", "iso", "date", "time", "datetime", "dictionary")
"""The types of value that a parser can read."""


class MultiParser(Described):
    """Reads texts of one type.

    Attributes:
        type: The type of the values, one of TYPES.
        format: The format of a date, time or datetime; otherwise empty.
        source: The dictionary, as its name or the URL of its feed; otherwise empty.
    """

    FACTS = ("type", "format")

    def __init__(
        self,
        type: str = "string",
        format: str | None = None,
        default_timezone: str = "UTC",
        source: str | None = None,
    ) -> None:
        """Prepare to read values.

        Args:
            type: The type of the values, one of TYPES; "iso" is a date, or a date and time, as in
                ISO 8601.
            format: The format of a date, time or datetime; required for these types.
            default_timezone: The time zone of a datetime or iso text that names none, such as
                Europe/Oslo.
            source: The dictionary, as its name or the URL of its feed; required for "dictionary".

        Raises:
            ValueError: The type or the time zone is unknown, or the type lacks its format or
                source.
        """
        if type not in TYPES:
            raise ValueError(f"there is no type '{type}': expected {', '.join(TYPES)}")
        if type in ("date", "time", "datetime") and not format:
            raise ValueError(f"a {type} needs a format")
        if type == "dictionary" and not source:
            raise ValueError("a dictionary needs a source")
        self.type = type
        self.format = format or ""
        self.source = source or ""
        try:
            self._zone = ZoneInfo(default_timezone)
        except (LookupError, OSError) as error:
            raise ValueError(f"there is no time zone '{default_timezone}'") from error

    def convert(self, raw: str | None, client: "Client | None" = None) -> "Value | None":
        """Return the value of the text `raw`; None if `raw` is None or empty.

        A datetime is returned in UTC. For "dictionary" `raw` is a key, and the value is its Term.

        Args:
            raw: The text.
            client: The client that reads the dictionary; other types need none.

        Raises:
            ValueError: `raw` is not a text of this type, the dictionary has no such key, or a
                dictionary is to be read without a client.
            FlowError: The dictionary cannot be read.
        """
        if raw is None or raw == "":
            return None
        if self.type in ("integer", "float"):
            return _number(raw, int if self.type == "integer" else float)
        if self.type == "iso":
            return self._iso(raw.strip())
        if self.type == "dictionary":
            return self._term(raw, client)
        if self.type == "string":
            return raw
        moment = datetime.strptime(raw.strip(), self.format)  # noqa: DTZ007  a %z may be in it
        if self.type == "date":
            return moment.date()
        return moment.timetz() if self.type == "time" else self._in_utc(moment)

    def text(self, raw: str | None, client: "Client | None" = None) -> str | None:
        """Return the value as text, in the form that Viz One's metadata has.

        The arguments and errors are those of `convert`.
        """
        return as_text(self.convert(raw, client))

    def _iso(self, said: str) -> datetime | date:
        try:
            return date.fromisoformat(said)
        except ValueError:
            return self._in_utc(datetime.fromisoformat(said))

    def _in_utc(self, moment: datetime) -> datetime:
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            raise ValueError(
                f"{moment.isoformat()} is outside the years 1 to 9999 in UTC"
            ) from None

    def _term(self, key: str, client: "Client | None") -> "Term":
        if client is None:
            raise ValueError("a dictionary is looked up by a client: give one to convert()")
        # The URL of a dictionary ends with ~ and its name: .../dictionary/~category.
        name = self.source
        if "://" in name:
            name = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2])
        term = client.dictionaries.term(name.removeprefix("~"), key)
        if term is None:
            raise ValueError(f"the dictionary '{self.source}' has no key '{key}'")
        return term


def _number(raw: str, kind: type[int] | type[float]) -> int | float:
    """Return the number in `raw`.

    Raises:
        ValueError: `raw` is not a number, or is NaN or infinite.
    """
    value = kind(raw)
    # Python accepts 1_000 as a number; in a file of another system this is more likely a mistake.
    if "_" in raw or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"'{raw}' is not a number")
    return value


def as_text(value: object) -> str | None:
    """Return any value as text, in the form that Viz One's metadata has; None for None.

    Examples: `2026-12-24`, `2026-12-24T17:00:00Z`, `true`, the key of a Term.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date | time):
        return value.isoformat()
    key = getattr(value, "key", None)
    return str(value) if key is None else str(key)
