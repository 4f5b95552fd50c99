"""From an event line to the cells that are shown of it, all of them safe for a terminal."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from flowtools.core.errors import UsageError
from flowtools.core.event import Event, EventError, decode
from flowtools.core.key import Key
from flowtools.core.toolong import TooLong
from flowtools.process.message import one_line

DEFAULT = "time,type,subject,title"

TABLE_DEFAULT = f"{DEFAULT},age"
"""Of the table, which is drawn again as ages grow."""

MAX_CELL = 300
"""Characters that are kept of a value; a terminal's line has not so many."""

NO_EVENT = "not an event"
"""Stands for the type of a line that is none."""


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one line.

    Attributes:
        type: The event's type; NO_EVENT for a line that is none.
        cells: The text of each column. That of `age` and `time` is made when it is shown.
        instant: When it happened, in seconds since the epoch; None where it does not say.
        hidden: What a search looks into besides the cells: the id and the source.
    """

    type: str
    cells: tuple[str, ...]
    instant: float | None
    hidden: str

    def holds(self, text: str) -> bool:
        """Return whether `text` (lower case) is in any cell, the type, the id or the source."""
        return any(text in each.lower() for each in (*self.cells, self.type, self.hidden))


class Columns:
    """Which columns there are, and what stands in each.

    Attributes:
        names: What --fields called them.
    """

    def __init__(self, names: tuple[str, ...], pick: tuple[Callable[[Event], str], ...]) -> None:
        self.names = names
        self._pick = pick

    @classmethod
    def parse(cls, text: str) -> "Columns":
        """Read the value of --fields: names and JSON Pointers, separated by commas.

        Raises:
            UsageError: One of them is neither.
        """
        names = tuple(each.strip() for each in text.split(","))
        return cls(names, tuple(_picker(name) for name in names))

    def row(self, line: bytes) -> Row:
        """Return what to show of `line`, whatever it is; never raises."""
        try:
            if isinstance(line, TooLong):
                raise EventError("the line is too long")
            event = decode(line)
        except EventError as error:
            return self._of_no_event(line, error)
        given = event.attributes
        identity = f"{given['id'][:MAX_CELL]}\n{given['source'][:MAX_CELL]}"
        cells = tuple(pick(event) for pick in self._pick)
        return Row(safe(event.type), cells, _instant_of(event), identity)

    def _of_no_event(self, line: bytes, error: EventError) -> Row:
        text = safe(line[:MAX_CELL].decode("utf-8", "backslashreplace"))
        told = {"type": NO_EVENT, "subject": safe(str(error)), "title": text}
        cells = tuple(told.get(name, "") for name in self.names)
        if not any(cells):
            cells = (f"{NO_EVENT}: {safe(str(error))}", *cells[1:])
        return Row(NO_EVENT, cells, None, text)


def safe(text: str) -> str:
    """Return the beginning of `text` as one line that does nothing to a terminal."""
    return one_line(text[:MAX_CELL])


def _instant_of(event: Event) -> float | None:
    """Return the event's time in seconds since the epoch; None where it has no usable one."""
    try:
        moment = datetime.fromisoformat(event.time or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _title_of(event: Event) -> str:
    """Return what the event is about, for people: a title, a name, else the data itself.

    Empty where the data has a place for a title and nothing in it, as a deletion's.
    """
    data: Any = event.attributes.get("data", event.attributes.get("data_base64"))
    if isinstance(data, dict):
        named = [data[key] for key in ("title", "name", "path", "body") if key in data]
        if named:
            return next((value for value in named if isinstance(value, str)), "")[:MAX_CELL]
    if data is None:
        return ""
    return data[:MAX_CELL] if isinstance(data, str) else _json(data)


def _json(data: Any) -> str:
    try:
        return orjson.dumps(data).decode()
    except TypeError:
        return "(nested too deeply to show)"


def age(seconds: float) -> str:
    """Return how long ago, in one unit: "now", "12s", "5m", "3h", "8d"; "-5s" in the future."""
    if abs(seconds) < 1:
        return "now"
    sign = "-" if seconds < 0 else ""
    rest = int(abs(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if rest >= size:
            return f"{sign}{rest // size}{unit}"
    return f"{sign}{rest}s"


def clock_text(instant: float, now: float) -> str:
    """Return the local time of day, and the date too unless it is today."""
    moment = datetime.fromtimestamp(instant, UTC).astimezone()
    today = datetime.fromtimestamp(now, UTC).astimezone().date()
    return f"{moment:%H:%M:%S}" if moment.date() == today else f"{moment:%Y-%m-%d %H:%M:%S}"


def _picker(name: str) -> Callable[[Event], str]:
    if name == "title":
        return lambda event: safe(_title_of(event))
    if name == "age":
        return lambda event: ""
    try:
        key = Key.parse(name)
    except UsageError:
        raise UsageError(
            f"'{name}' is no field: write title, age, an attribute's name such as subject,"
            " or a JSON Pointer into the data such as /size"
        ) from None
    return lambda event: safe(_of(key, event))


def _of(key: Key, event: Event) -> str:
    try:
        return key.of(event) or ""
    except TypeError:
        return "(nested too deeply to show)"
