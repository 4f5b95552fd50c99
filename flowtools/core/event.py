"""The event line: a CloudEvents 1.0 event in JSON format, one to a line.

Attribute names and their rules are those of the CloudEvents 1.0 specification (sections 3.1,
"Context attributes", and JSON event format 3.1, "Handling of data"); cloudevents.py has them.
"""

import time as clock
import uuid
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from math import inf
from typing import TYPE_CHECKING, Any

import orjson

from flowtools.core.cloudevents import OPTIONAL, checked, clean, complaint, is_time, optional
from flowtools.core.digits import huge_integer, may_exceed
from flowtools.core.encoding import OPTIONS, not_finite, plain, why_not

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON = "application/json"


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

    Its attributes are properties; an optional one that is absent is None. An extension reads as
    an attribute, too, and as `event.attributes["name"]`, which type checkers accept; one that is
    absent raises AttributeError. `event["key"]` reads a key of `data`. Times are RFC 3339 text.

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
        form in it (flow-worker(7), "Results"). An empty `subject` is left out. Characters that
        CloudEvents does not allow in text, such as a newline, are written as in `\\x0a`.

        Raises:
            EventError: An attribute breaks a rule of CloudEvents: a name other than lower-case
                letters and digits, a value other than text, a truth value or a 32-bit integer,
                an empty source or type, a time that is not RFC 3339.
        """
        attributes: dict[str, Any] = {
            "specversion": "1.0",
            "id": _text("id", id) if id else str(uuid.uuid4()),
            "source": _text("source", source),
            "type": _text("type", type),
        }
        if subject is not None and subject != "":
            attributes["subject"] = _text("subject", subject)
        if time and not is_time(time):
            raise EventError("its 'time' is not a timestamp of RFC 3339")
        attributes["time"] = time or now()
        for name, value in extensions.items():
            if value is not None:
                attributes[name] = _extension(name, value)
        if isinstance(data, bytes | bytearray | memoryview):
            attributes.setdefault("datacontenttype", "application/octet-stream")
            attributes["data_base64"] = b64encode(data).decode()
        elif data is not None:
            attributes.setdefault("datacontenttype", _JSON)
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

    @property
    def specversion(self) -> str:
        """The version of CloudEvents: "1.0"."""
        return self._required("specversion")

    @property
    def id(self) -> str:
        """The same whenever the same event comes again; with `source`, the event's identity."""
        return self._required("id")

    @property
    def source(self) -> str:
        """Where it came from, a URI-reference: the URL of a Viz One or broker, `flow-stdin`."""
        return self._required("source")

    @property
    def type(self) -> str:
        """What happened, such as `flow.asset.changed`."""
        return self._required("type")

    @property
    def subject(self) -> str | None:
        """What it happened to: an asset's id, a file's name; None: it does not say."""
        return self.attributes.get("subject")

    @property
    def time(self) -> str | None:
        """When, RFC 3339 text; None: it does not say."""
        return self.attributes.get("time")

    @property
    def datacontenttype(self) -> str | None:
        """The media type of the data; None where it does not say: JSON."""
        return self.attributes.get("datacontenttype")

    @property
    def dataschema(self) -> str | None:
        """The URI of the schema of the data; None: it does not say."""
        return self.attributes.get("dataschema")

    def _required(self, name: str) -> str:
        try:
            value: str = self.attributes[name]
        except KeyError:
            raise AttributeError(f"the event has no attribute '{name}'") from None
        return value

    if not TYPE_CHECKING:  # So that a type checker finds a name that is misspelt.

        def __getattr__(self, name: str) -> Any:
            # Reached for an extension, and for a slot that copy or pickle look at before it
            # is filled.
            if name in Event.__slots__:
                raise AttributeError(name)
            return self._required(name)

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
    if found := complaint(value):
        raise EventError(f"not a CloudEvents 1.0 event: {found}")
    if None in value.values():  # An attribute that is null is one that is absent.
        value = {name: each for name, each in value.items() if each is not None or name == "data"}
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


def bare(line: bytes) -> bytes:
    """Return `line` without the space around it, and the byte order mark before it.

    Some editors begin a file with one, and files may have been put together (RFC 8259,
    section 8.1: a parser may pass over it).
    """
    return line.strip().removeprefix(_BYTE_ORDER_MARK).lstrip()


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise EventError(f"its '{name}' is not a non-empty string")
    return clean(value)


def _extension(name: str, value: Any) -> Any:
    try:
        if name in OPTIONAL:
            optional(name, value)
            return clean(value)
        return checked(name, value)
    except ValueError as error:
        raise EventError(str(error)) from None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
