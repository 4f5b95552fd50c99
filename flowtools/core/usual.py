"""The fast path for ordinary event lines: the pool's inner loop, as short as possible.

Values that have passed the rules of CloudEvents are remembered and not checked again. All of this
memory is bounded:

- The last time that was read: when speed matters, many events share a millisecond.
- The second of that time, as its first and its last millisecond. A text that sorts between the two
  begins as both do, up to the decimal point; the four characters after it are looked up.
- The names of the attributes in lines of other programs, and their content types and schemas.
"""

import re
from typing import Any, NamedTuple

import orjson

from flowtools.core.cloudevents import complaint, data_complaint

_loads = orjson.loads
# orjson returns the same object for a name that it meets again, and a dict finds an identical
# object without comparing text. So a look-up with a name from orjson takes half the time.
_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _ACKTO, _DATA = _loads(
    '["specversion","id","source","type","subject","time","datacontenttype","ackto","data"]'
)
_SCHEMA, _BASE64 = "dataschema", "data_base64"
_CORE = {_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _SCHEMA, _DATA, _BASE64}
_JSON = "application/json"
# With an offset or without; other valid times (a leap second, 29 February) get the complete check.
_usual_time = re.compile(
    "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_MILLISECONDS = frozenset(f"{number:03d}Z" for number in range(1000))
_FRACTION = slice(20, None)
_last_time = [""]
_second = [("1", "0")]  # Nothing lies between these.


class _Shape(NamedTuple):
    """The attributes of a line, whose names are known to be valid."""

    has_time: bool
    texts: tuple[str, ...]
    repeated: tuple[str, ...]
    extensions: tuple[str, ...]
    has_base64: bool


# Bounds of the memory: the number of shapes and of values, and the length of each.
_MOST, _MOST_CHARACTERS, _LONG_TIME = 64, 1024, 40
_EXTENSION_TYPES = frozenset({str, bool, int})
_shapes: dict[tuple[str, ...], _Shape] = {}
# Content types and schemas, each with its attribute's name.
_repeated: set[tuple[str, str]] = set()


def usual(line: bytes) -> dict[str, Any] | None:
    """Return the attributes of an ordinary event line; None means: fall back to `parse`.

    The caller has made sure that the line holds no integer beyond 64 bits (see `may_exceed`).
    """
    try:
        value: dict[str, Any] = _loads(line)
    except ValueError:
        return None
    try:
        if (
            value[_VERSION] == "1.0"
            # True only for non-empty text: comparing another JSON value with text raises.
            and value[_ID] > ""
            and value[_SOURCE] > ""
            and value[_TYPE] > ""
            and (value[_TIME] == _last_time[0] or _is_time(value[_TIME]))
            and _DATA in value
            and value[_SUBJECT] > ""
            # No members other than these seven and the ordinary optional ones.
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
    """Return whether `text` is a usual time; False: it has to be looked at closely.

    Raises:
        TypeError: It is not text.
    """
    first, last = _second[0]
    if not (first <= text <= last and text[_FRACTION] in _MILLISECONDS):
        if not _usual_time(text):
            return False
        if len(text) == 24 and text[_FRACTION] in _MILLISECONDS:
            # Both in one store: no other thread sees the first of one and the last of another.
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
    """Return whether `value` keeps all rules; False: it has to be looked at closely.

    Raises:
        TypeError: A value is not text, and has to be.
    """
    for name in shape.texts:
        if not value[name] > "":
            return False
    if shape.has_time and not (value[_TIME] == _last_time[0] or _is_time(value[_TIME])):
        return False
    for name in shape.repeated:
        if value[name] != _JSON and (name, value[name]) not in _repeated:
            return False
    for name in shape.extensions:
        if type(value[name]) not in _EXTENSION_TYPES:
            return False
    if not shape.has_base64:
        return True
    return value[_BASE64] is not None and data_complaint(value) is None


def _remember(names: tuple[str, ...], value: dict[str, Any]) -> None:
    """Note the names of an event, and such of its values as come again."""
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
