"""The event line: a CloudEvents 1.0 event in JSON format, one to a line.

Attribute names and their rules are those of the CloudEvents 1.0 specification
(sections 3.1, "Context attributes", and JSON event format 3.1, "Handling of data").
"""

import re
import time as clock
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from math import inf
from typing import Any

import orjson

from flowtools.core.digits import huge_integer, may_exceed
from flowtools.core.encoding import OPTIONS, not_finite, plain, why_not

_REQUIRED = ("id", "source", "type")
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,64}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_loads = orjson.loads
# orjson gives a name that it meets again as the same object, and a dict finds what is the same
# object without a comparison: a look-up with a name from orjson takes half the time.
_VERSION, _ID, _SOURCE, _TYPE, _BASE64 = _loads(
    '{"specversion":0,"id":0,"source":0,"type":0,"data_base64":0}'
)


class EventError(ValueError):
    """A line is not an event, or an event cannot be a line; the text says why."""


class NotAnEvent(EventError):
    """A line is JSON, and does not say that it is an event: it has no `specversion`.

    Attributes:
        value: The JSON value.
    """

    def __init__(self, value: Any) -> None:
        super().__init__("not an event: it has no 'specversion'")
        self.value = value


class Event:
    """One event: its CloudEvents attributes by name, and its data.

    `event.subject`, `event.type` and any extension attribute read as attributes;
    an optional one that is absent is None (an absent extension raises AttributeError).
    `event["key"]` reads a key of `data`. Times are RFC 3339 text.

    Attributes:
        attributes: The JSON object of the line, as decoded.
        deadline: When this attempt's time is up, in seconds of `time.monotonic()`;
            None before the pool has started it, infinity without a time-out.
    """

    __slots__ = ("attributes", "deadline")

    attributes: dict[str, Any]
    deadline: float | None

    def __init__(
        self,
        type: str,
        data: Any = None,
        *,
        source: str,
        id: str | None = None,
        subject: str | None = None,
        time: str | None = None,
        **extensions: Any,
    ) -> None:
        """Make a new event; `id` defaults to a random UUID, `time` to now.

        `data` of type bytes is carried as `data_base64`; any other value must be JSON, or have a
        form in it (flow-worker(7), "Results").

        Raises:
            EventError: An extension's name is not lower-case letters and digits.
        """
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": id or str(uuid.uuid4()),
            "source": source,
            "type": type,
        }
        if subject is not None:
            attributes["subject"] = subject
        attributes["time"] = time or now()
        for name, value in extensions.items():
            if not _EXTENSION_NAME.fullmatch(name):
                raise EventError(f"'{name}' is not a CloudEvents attribute name (a-z, 0-9)")
            if value is not None:
                attributes[name] = value
        if isinstance(data, bytes | bytearray | memoryview):
            attributes["datacontenttype"] = "application/octet-stream"
            attributes["data_base64"] = b64encode(data).decode()
        elif data is not None:
            attributes["datacontenttype"] = "application/json"
            attributes["data"] = data
        self.attributes = attributes
        self.deadline = None

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> "Event":
        """Return an event that has these attributes; whether they are right is not looked at."""
        event: Event = cls.__new__(cls)
        event.attributes = attributes
        event.deadline = None
        return event

    def __getattr__(self, name: str) -> Any:
        # Reached for the event's own attributes, and for a slot that copy or pickle
        # look at before it is filled.
        if name in Event.__slots__:
            raise AttributeError(name)
        try:
            return self.attributes[name]
        except KeyError:
            if name in ("subject", "time", "datacontenttype", "dataschema"):
                return None
            raise AttributeError(f"the event has no attribute '{name}'") from None

    def __getstate__(self) -> tuple[dict[str, Any], float | None]:
        return self.attributes, self.deadline

    def __setstate__(self, state: tuple[dict[str, Any], float | None]) -> None:
        self.attributes, self.deadline = state

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.attributes == other.attributes

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = {name: self.attributes.get(name) for name in ("type", "subject", "id")}
        return f"<Event {' '.join(f'{k}={v!r}' for k, v in known.items() if v is not None)}>"

    @property
    def data(self) -> Any:
        """The payload: a JSON value, bytes where the line has `data_base64`, else None."""
        data = self.attributes.get("data")
        if data is None and "data_base64" in self.attributes:
            return b64decode(self.attributes["data_base64"])
        return data

    def get(self, key: str, default: Any = None) -> Any:
        """Return `data[key]`, or `default` where data is no object or lacks the key."""
        data = self.attributes.get("data")
        return data.get(key, default) if isinstance(data, dict) else default

    def cancelled(self) -> bool:
        """Return True once the result is no longer wanted: time is up, or the pool stops."""
        return self.deadline is not None and clock.monotonic() >= self.deadline

    def cancel(self) -> None:
        """Make `cancelled()` true; called by the pool, from any thread."""
        self.deadline = -inf

    def encode(self) -> bytes:
        """Return the event as one line, with its newline.

        Raises:
            EventError: It holds something that JSON has not: NaN, an integer of more
                than 64 bits, text that is not Unicode, nesting beyond MAX_DEPTH, an object
                without a form (see `flowtools.core.encoding.plain`); the text says where.
        """
        return encode_value(self.attributes)


class ReadEvent(Event):
    """An Event whose attributes come from a line, not from arguments.

    A class of its own for speed alone: Python makes an object without a constructor of
    its own in half the time that it takes to go round one.
    """

    __slots__ = ()
    __init__ = object.__init__


def now() -> str:
    """Return the present as RFC 3339 text, UTC, in milliseconds."""
    return rfc3339(int(clock.time() * 1000) / 1000)


@lru_cache(maxsize=16)  # A source in a hurry asks many times in one millisecond.
def rfc3339(timestamp: float) -> str:
    """Return `timestamp` (seconds since the epoch) as RFC 3339 text, UTC, in milliseconds."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def digest(*parts: bytes | str) -> str:
    """Return 32 hexadecimal digits that are the same whenever `parts` are (BLAKE2b, RFC 7693)."""
    state = _blake2b()(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        state.update(b"%d:" % len(raw))
        state.update(raw)
    return str(state.hexdigest())


@cache
def _blake2b() -> Callable[..., Any]:
    from hashlib import blake2b  # It brings OpenSSL along, which most events do not need.

    return blake2b


def encode_value(value: Any) -> bytes:
    """Return any JSON value as one line, with its newline; `plain` has the forms of other values.

    Raises:
        EventError: As `Event.encode`.
    """
    try:
        line = orjson.dumps(value, plain, OPTIONS)
    except TypeError as error:
        raise EventError(f"cannot be written as JSON: {why_not(value, error)}") from None
    if b"null" in line and (where := not_finite(value)):
        raise EventError(f"cannot be written as JSON: {where}")
    return line


def parse(line: bytes, *, digits_checked: bool = False) -> Event:
    """Return the event that `line`, with or without its end, is.

    `digits_checked`: the caller knows that it holds no integer beyond 64 bits.

    Raises:
        NotAnEvent: The line is JSON, and does not say that it is an event.
        EventError: The line is not JSON, or breaks a rule for events.
    """
    try:
        value = orjson.loads(bare(line))
    except orjson.JSONDecodeError as error:
        raise EventError(f"not JSON: {_lower(error.msg)} (column {error.colno})") from None
    if not digits_checked and may_exceed(line) and (huge := huge_integer(line)):
        raise EventError(f"not JSON: integer {huge} exceeds 64 bits")
    if type(value) is not dict or "specversion" not in value:
        raise NotAnEvent(value)
    complaint = _complaint(value)
    if complaint:
        raise EventError(f"not a CloudEvents 1.0 event: {complaint}")
    event: Event = ReadEvent.of(value)
    return event


def wrap(value: Any, *, source: str, type: str, id: str) -> Event:
    """Return an event whose data is `value`, a JSON value, even where that is null."""
    attributes = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": type,
        "time": now(),
        "datacontenttype": "application/json",
        "data": value,
    }
    event: Event = ReadEvent.of(attributes)
    return event


def decode(
    line: bytes,
    number: int = 0,
    *,
    source: str = "flow-stdin",
    type: str = "flow.stdin.line",
    digits_checked: bool = False,
) -> Event:
    """Read one line: an event, or any other JSON value, which becomes an event's data.

    Args:
        line: The line, with or without its end.
        number: Its place in the input; goes into the id of an event made from another
            value, so that the same input gives the same ids and equal lines differ.
        source: The source of such an event.
        type: Its type.
        digits_checked: See `parse`.

    Raises:
        EventError: The line is not JSON, or says it is an event and breaks a rule for events.
    """
    try:
        return parse(line, digits_checked=digits_checked)
    except NotAnEvent as other:
        identity = f"{digest(line.strip())}-{number}"
        return wrap(other.value, source=source, type=type, id=identity)


def usual(line: bytes) -> dict[str, Any] | None:
    """Return the attributes of an ordinary event line; None: `parse` has to look closely.

    The pool's inner loop: as short as it can be. Only for lines that hold no integer beyond 64
    bits alone (see `may_exceed`).
    """
    try:
        value: dict[str, Any] = _loads(line)
        if (
            value[_VERSION] == "1.0"
            # True for text that is not empty; no other JSON value can be compared with text.
            and value[_ID] > ""
            and value[_SOURCE] > ""
            and value[_TYPE] > ""
            and _BASE64 not in value
        ):
            return value
    except (ValueError, KeyError, TypeError, IndexError):
        return None
    return None


def bare(line: bytes) -> bytes:
    """Return `line` without the space around it, and the byte order mark before it.

    Some editors begin a file with one, and files may have been put together (RFC 8259,
    section 8.1: a parser may pass over it).
    """
    return line.strip().removeprefix(_BYTE_ORDER_MARK).lstrip()


def _complaint(value: dict[str, Any]) -> str | None:
    if value["specversion"] != "1.0":
        return "its specversion is not '1.0'"
    for name in _REQUIRED:
        if name not in value:
            return f"it has no '{name}'"
        if not isinstance(value[name], str) or not value[name]:
            return f"its '{name}' is not a non-empty string"
    if "data_base64" in value:
        if "data" in value:
            return "it has both data and data_base64"
        try:
            b64decode(value["data_base64"], validate=True)
        except (TypeError, ValueError):
            return "its data_base64 is not Base64"
    return None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
