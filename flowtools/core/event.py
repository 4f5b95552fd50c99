"""The event line: one CloudEvents 1.0 event per line, in JSON format.

Attribute names and their rules are those of the CloudEvents 1.0 specification (section 3.1,
"Context attributes", and JSON event format 3.1, "Handling of data"); cloudevents.py checks them.
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
from flowtools.core.encoding import OPTIONS, again, not_finite, plain
from flowtools.core.unfinished import Unfinished

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON = "application/json"


class EventError(ValueError):
    """A line is not an event, or an event cannot be written as a line; the text says why."""


class NotAnEvent(EventError):
    """A line is JSON but not an event: it has no `specversion`.

    Attributes:
        value: The JSON value.
    """

    def __init__(self, value: Any) -> None:
        super().__init__("not an event: it has no 'specversion'")
        self.value = value


class Event:
    """One event: its CloudEvents attributes by name, and its data.

    The CloudEvents attributes are properties; an absent optional one is None. An extension can be
    read as an attribute, too, or as `event.attributes["name"]`, which type checkers accept; an
    absent one raises AttributeError. `event["key"]` reads a key of `data`. Times are RFC 3339 text.

    Attributes:
        attributes: The decoded JSON object of the line.
        deadline: The time at which this attempt is over, in seconds of `time.monotonic()`;
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

        `data` of type bytes is carried as `data_base64`; any other value must be a JSON value, or
        have a JSON form (flow-worker(7), "Results"). An empty `subject` is left out. Characters
        that CloudEvents does not allow in text, such as a newline, are escaped, as in `\\x0a`.

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
        """Return an event with these attributes, which are not checked."""
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
        """The id, stable across redelivery; with `source` it identifies the event."""
        return self._required("id")

    @property
    def source(self) -> str:
        """The origin, a URI-reference: the URL of a Viz One or broker, or `flow-stdin`."""
        return self._required("source")

    @property
    def type(self) -> str:
        """The type of the event, such as `flow.asset.changed`."""
        return self._required("type")

    @property
    def subject(self) -> str | None:
        """The object of the event, such as an asset's id or a file's name; None if absent."""
        return self.attributes.get("subject")

    @property
    def time(self) -> str | None:
        """The time of the event as RFC 3339 text; None if absent."""
        return self.attributes.get("time")

    @property
    def datacontenttype(self) -> str | None:
        """The media type of the data; None if absent, which means JSON."""
        return self.attributes.get("datacontenttype")

    @property
    def dataschema(self) -> str | None:
        """The URI of the schema of the data; None if absent."""
        return self.attributes.get("dataschema")

    def _required(self, name: str) -> str:
        try:
            value: str = self.attributes[name]
        except KeyError:
            raise AttributeError(f"the event has no attribute '{name}'") from None
        return value

    if not TYPE_CHECKING:  # Hidden from type checkers, so that they find misspelt names.

        def __getattr__(self, name: str) -> Any:
            # Called for an extension, and for a slot that copy or pickle read before it is set.
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

    # Equal events must have equal hashes, and the attributes may change.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        known = {name: self.attributes.get(name) for name in ("type", "subject", "id")}
        return f"<Event {' '.join(f'{k}={v!r}' for k, v in known.items() if v is not None)}>"

    @property
    def data(self) -> Any:
        """The payload: a JSON value, bytes if the line has `data_base64`, or None."""
        data = self.attributes.get("data")
        if data is None and "data_base64" in self.attributes:
            return b64decode(self.attributes["data_base64"])
        return data

    def get(self, key: str, default: Any = None) -> Any:
        """Return `data[key]`, or `default` if data is not an object or lacks the key."""
        data = self.attributes.get("data")
        return data.get(key, default) if isinstance(data, dict) else default

    def cancelled(self) -> bool:
        """Return True once the result is no longer wanted: time-out, or the pool stops."""
        return self.deadline is not None and clock.monotonic() >= self.deadline

    def cancel(self) -> None:
        """Make `cancelled()` true; called by the pool, from any thread."""
        self.deadline = -inf

    def encode(self) -> bytes:
        """Return the event as one line, with its newline.

        Raises:
            EventError: The event holds a value that JSON cannot express: NaN, an integer of more
                than 64 bits, text that is not Unicode, nesting beyond MAX_DEPTH, an object
                without a JSON form (see `flowtools.core.encoding.plain`). The text names the
                place.
        """
        return encode_value(self.attributes)


class ReadEvent(Event):
    """An Event whose attributes come from a line, not from arguments.

    This class exists only for speed: Python makes an object of a class without `__init__` in half
    the time that it takes to bypass one.
    """

    __slots__ = ()
    __init__ = object.__init__


def now() -> str:
    """Return the current time as RFC 3339 text, UTC, in milliseconds."""
    # Cut to milliseconds, so that all calls within one millisecond find the text in the cache.
    return rfc3339(int(clock.time() * 1000) / 1000)


@lru_cache(maxsize=16)  # A busy source asks many times within one millisecond.
def rfc3339(timestamp: float) -> str:
    """Return `timestamp` (seconds since the epoch) as RFC 3339 text, UTC, in milliseconds."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


def digest(*parts: bytes | str) -> str:
    """Return a digest of `parts` as 32 hexadecimal digits (BLAKE2b, RFC 7693)."""
    state = _blake2b()(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        # The length keeps ("ab", "c") and ("a", "bc") apart.
        state.update(b"%d:" % len(raw))
        state.update(raw)
    return str(state.hexdigest())


@cache
def _blake2b() -> Callable[..., Any]:
    from hashlib import blake2b  # Imported late: it loads OpenSSL, which most events do not need.

    return blake2b


def encode_value(value: Any) -> bytes:
    """Return any value as one line of JSON, with its newline; `plain` converts other types.

    Raises:
        EventError: The value cannot be written as JSON; see `Event.encode`.
    """
    try:
        line = orjson.dumps(value, plain, OPTIONS)
    except TypeError:
        try:
            line = again(value)
        except TypeError as error:
            raise EventError(f"cannot be written as JSON: {error}") from None
    if b"null" in line and (where := not_finite(value)):
        raise EventError(f"cannot be written as JSON: {where}")
    return line


def parse(line: bytes, *, digits_checked: bool = False) -> Event:
    """Return the event in `line`, with or without its newline.

    `digits_checked` is true if the caller has checked that `line` holds no integer beyond 64 bits.

    Raises:
        NotAnEvent: The line is JSON but not an event: it has no `specversion`.
        EventError: The line is not JSON, or breaks a rule for events.
    """
    try:
        value = orjson.loads(bare(line))
    except orjson.JSONDecodeError as error:
        ends = "; the input ends within this line" if isinstance(line, Unfinished) else ""
        raise EventError(f"not JSON: {_lower(error.msg)} (column {error.colno}){ends}") from None
    if not digits_checked and may_exceed(line) and (huge := huge_integer(line)):
        raise EventError(f"not JSON: integer {huge} exceeds 64 bits")
    if type(value) is not dict or "specversion" not in value:
        raise NotAnEvent(value)
    if found := complaint(value):
        raise EventError(f"not a CloudEvents 1.0 event: {found}")
    if None in value.values():  # A null attribute counts as absent.
        value = {name: each for name, each in value.items() if each is not None or name == "data"}
    event: Event = ReadEvent.of(value)
    return event


def wrap(value: Any, *, source: str, type: str, id: str) -> Event:
    """Return an event whose data is `value`, any JSON value, even null."""
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
        line: The line, with or without its newline.
        number: The line's number in the input. It becomes part of the id of an event made from
            another value, so that the same input gives the same ids and equal lines differ.
        source: The source of an event made from another value.
        type: The type of an event made from another value.
        digits_checked: Whether the line is known to hold no integer beyond 64 bits.

    Raises:
        EventError: The line is not JSON, or it has a `specversion` and breaks a rule for events.
    """
    try:
        return parse(line, digits_checked=digits_checked)
    except NotAnEvent as other:
        identity = f"{digest(line.strip())}-{number}"
        return wrap(other.value, source=source, type=type, id=identity)


def bare(line: bytes) -> bytes:
    """Return `line` without surrounding white space and without a byte order mark.

    Some editors begin a file with such a mark, and joined files have it in the middle (RFC 8259,
    section 8.1, allows a parser to ignore it).
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
