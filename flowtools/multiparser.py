"""MultiParser: text as it comes in files of others, to values that metadata can hold.

    parser = MultiParser(type="datetime", format="%d/%m/%Y %H:%M", default_timezone="Europe/Oslo")
    payload["asset.retentionDate"] = parser.text("24/12/2026 18:00")

Formats are those of datetime.strptime. Any thread may use a parser.
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
"""What a text can be."""


class MultiParser(Described):
    """Reads one kind of value."""

    FACTS = ("type", "_format")

    def __init__(
        self,
        type: str = "string",
        format: str | None = None,
        default_timezone: str = "UTC",
        source: str | None = None,
    ) -> None:
        """Prepare to read values.

        Args:
            type: One of TYPES; "iso" is an ISO 8601 date or date and time.
            format: Of a date, time or datetime.
            default_timezone: Of a datetime or iso that names none: Europe/Oslo, UTC.
            source: The dictionary: its name, or the address of its feed.

        Raises:
            ValueError: The type is unknown, or lacks its format or source.
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
        """Return the value that `raw` says: None for None or nothing.

        A datetime is in UTC. A dictionary's value is its Term, which `client` looks up.

        Raises:
            ValueError: It does not say one, or the dictionary has no such key.
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
        """Return the value as metadata has it; raises as `convert`."""
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
            raise ValueError(f"{moment.isoformat()} is beyond what UTC can say") from None

    def _term(self, key: str, client: "Client | None") -> "Term":
        if client is None:
            raise ValueError("a dictionary is looked up by a client, and there is none")
        # The address of a dictionary ends in ~ and its name.
        name = self.source
        if "://" in name:
            name = unquote(urlsplit(name).path.rstrip("/").rpartition("/")[2])
        term = client.dictionaries.term(name.removeprefix("~"), key)
        if term is None:
            raise ValueError(f"the dictionary '{self.source}' has no key '{key}'")
        return term


def _number(raw: str, kind: type[int] | type[float]) -> int | float:
    """Return the number that `raw` says: not 1_000, which is Python's own, and not NaN."""
    value = kind(raw)
    if "_" in raw or (isinstance(value, float) and not isfinite(value)):
        raise ValueError(f"'{raw}' is no number")
    return value


def as_text(value: object) -> str | None:
    """Return any value as metadata has it: 2026-12-24, 2026-12-24T17:00:00Z, true, a term's key."""
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
