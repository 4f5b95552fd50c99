"""The fast path for ordinary event lines, for the inner loop of the pool.

`usual` checks the rules of CloudEvents with as few operations as possible. A value that has passed
a rule is remembered, so that an equal value needs no second check. All of this memory is bounded:

- The last `time`, since many events share a millisecond when speed matters.
- The second of that time, as its first and its last millisecond. A text that sorts between the two
  has the same characters as both up to the decimal point. So only the four characters after it have
  to be checked.
- The names of the attributes in lines of other programs, and their content types and schemas.

Any thread may call `usual`. Two threads may overwrite what the other has remembered, which costs
time but never lets an invalid value pass: each entry is stored as a whole, after its check.
"""

import re
from typing import Any, NamedTuple

import orjson

from flowtools.core.cloudevents import complaint, data_complaint

_loads = orjson.loads
# orjson returns the same object for each occurrence of a name, and a dict finds an identical object
# without comparing text. So a look-up with a name that orjson has made takes half the time.
_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _ACKTO, _DATA = _loads(
    '["specversion","id","source","type","subject","time","datacontenttype","ackto","data"]'
)
_SCHEMA, _BASE64 = "dataschema", "data_base64"
_CORE = {_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _SCHEMA, _DATA, _BASE64}
_JSON = "application/json"
# UTC or another offset. Other valid times (a leap second, 29 February) get the complete check.
_usual_time = re.compile(
    "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_MILLISECONDS = frozenset(f"{number:03d}Z" for number in range(1000))
_FRACTION = slice(20, None)
_last_time = [""]
_second = [("1", "0")]  # No text sorts between these.


class _Shape(NamedTuple):
    """The attributes of a line whose names have been checked.

    Attributes:
        has_time: Whether there is a `time`.
        texts: The attributes that must be non-empty text.
        repeated: The attributes whose values are the same in many lines, and are remembered.
        extensions: The extension attributes.
        has_base64: Whether the data is in `data_base64`.
    """

    has_time: bool
    texts: tuple[str, ...]
    repeated: tuple[str, ...]
    extensions: tuple[str, ...]
    has_base64: bool


# Limits of the memory: the number of shapes and of values, and the length of each of them. An input
# with ever new names or values must not fill the memory.
_MOST, _MOST_CHARACTERS, _LONG_TIME = 64, 1024, 40
_EXTENSION_TYPES = frozenset({str, bool, int})
_shapes: dict[tuple[str, ...], _Shape] = {}
# Content types and schemas, each with its attribute's name.
_repeated: set[tuple[str, str]] = set()


def usual(line: bytes) -> dict[str, Any] | None:
    """Return the attributes of an ordinary event line; None means: fall back to `parse`.

    The caller must have made sure that the line holds no integer beyond 64 bits (`may_exceed`).
    """
    try:
        value: dict[str, Any] = _loads(line)
    except ValueError:
        return None
    try:
        if (
            value[_VERSION] == "1.0"
            # True only for non-empty text, since comparing another JSON value with text raises.
            and value[_ID] > ""
            and value[_SOURCE] > ""
            and value[_TYPE] > ""
            and (value[_TIME] == _last_time[0] or _is_time(value[_TIME]))
            and _DATA in value
            and value[_SUBJECT] > ""
            # The count makes sure that there is no other member, which would have to be checked.
            and (
                len(value) == 7
                or (
                    value[_CONTENT] == _JSON
                    and (len(value) == 8 or (len(value) == 9 and value[_ACKTO] > ""))
                )
            )
        ):
            return value
    except (KeyError, TypeError):
        pass
    return value if _is_event(value) else None


def _is_time(text: str) -> bool:
    """Return whether `text` is a usual time; False: it needs the complete check.

    Raises:
        TypeError: `text` is not text.
    """
    first, last = _second[0]
    if not (first <= text <= last and text[_FRACTION] in _MILLISECONDS):
        if not _usual_time(text):
            return False
        if len(text) == 24 and text[_FRACTION] in _MILLISECONDS:
            # Both bounds in one store, so that another thread never sees bounds of two seconds.
            _second[0] = (text[:20] + "000Z", text[:20] + "999Z")
    if len(text) < _LONG_TIME:
        _last_time[0] = text
    return True


def _is_event(value: Any) -> bool:
    """Return whether `value` is an event, none of whose attributes is null."""
    if type(value) is not dict or value.get(_VERSION) != "1.0":
        return False
    names = tuple(value)
    shape = _shapes.get(names)
    try:
        if shape is not None and _fits(value, shape):
            return True
    except TypeError:
        return False
    if None in value.values() or complaint(value):
        return False
    _remember(names, value)
    return True


def _fits(value: dict[str, Any], shape: _Shape) -> bool:
    """Return whether `value`, which has the names of `shape`, is valid; False: check completely.

    Raises:
        TypeError: A value is not text, but must be.
    """
    for name in shape.texts:
        if not value[name] > "":
            return False
    if shape.has_time and not (value[_TIME] == _last_time[0] or _is_time(value[_TIME])):
        return False
    for name in shape.repeated:
        is_json = name == _CONTENT and value[name] == _JSON
        if not is_json and (name, value[name]) not in _repeated:
            return False
    for name in shape.extensions:
        if type(value[name]) not in _EXTENSION_TYPES:
            return False
    if not shape.has_base64:
        return True
    return value[_BASE64] is not None and data_complaint(value) is None


def _remember(names: tuple[str, ...], value: dict[str, Any]) -> None:
    """Remember the names of a valid event, and its values that are the same in many events."""
    if sum(map(len, names)) > _MOST_CHARACTERS:
        return
    repeated = tuple(name for name in (_CONTENT, _SCHEMA) if name in value)
    if len(_shapes) >= _MOST:
        _shapes.clear()
    _shapes[names] = _Shape(
        has_time=_TIME in value,
        texts=tuple(name for name in (_ID, _SOURCE, _TYPE, _SUBJECT) if name in value),
        repeated=repeated,
        extensions=tuple(name for name in names if name not in _CORE),
        has_base64=_BASE64 in value,
    )
    for name in repeated:
        if len(value[name]) <= _MOST_CHARACTERS:
            if len(_repeated) >= _MOST:
                _repeated.clear()
            _repeated.add((name, value[name]))
