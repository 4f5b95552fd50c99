"""The fast path for ordinary event lines, for the inner loop of the pool.

`usual_lines` decodes all lines of a block with one call and checks the rules of CloudEvents for all
of them at once: if the lines have the same attributes, as they do when they come from one program,
each attribute's values are one column, and a few calls of functions written in C check a whole
column. `usual` checks one line with as few operations as possible. A value that has passed a rule
is remembered, so that an equal value needs no second check. All of this memory is bounded:

- The last `time`, since many events share a millisecond when speed matters.
- The second of that time, as its first and its last millisecond. A text that sorts between the two
  has the same characters as both up to the decimal point. So only the four characters after it have
  to be checked.
- The names of the attributes in lines, and their content types and schemas.

Any thread may call these. Two threads may overwrite what the other has remembered, which costs
time but never lets an invalid value pass: each entry is stored as a whole, after its check.
"""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from flowtools.core.cloudevents import complaint, data_complaint

_loads = orjson.loads
# orjson returns the same object for each occurrence of a member's name, and a dict finds the same
# object without comparing text. So a look-up with a name that orjson has made takes less time.
_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _ACKTO, _DATA = _loads(
    '{"specversion":0,"id":0,"source":0,"type":0,"subject":0,"time":0,"datacontenttype":0,'
    '"ackto":0,"data":0}'
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
_fraction = itemgetter(_FRACTION)
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
        columns: For each attribute, in the order of the names, a function that checks its values in
            several events; it raises TypeError or returns False if they have to be checked one by
            one. None: no check is needed.
    """

    has_time: bool
    texts: tuple[str, ...]
    repeated: tuple[str, ...]
    extensions: tuple[str, ...]
    has_base64: bool
    columns: tuple[Callable[[tuple[Any, ...]], bool] | None, ...]


# With fewer lines than this, to check each takes less time.
_FEW = 4
# Stands between the lines of a block. It is random, so that no line can contain it.
_MARK = os.urandom(8).hex()
_BETWEEN = b',"%b",' % _MARK.encode()
# Limits of the memory: the number of shapes and of values, and the length of each of them. An input
# with ever new names or values must not fill the memory.
_MOST, _MOST_CHARACTERS, _LONG_TIME = 64, 1024, 40
_EXTENSION_TYPES = frozenset({str, bool, int})
_shapes: dict[tuple[str, ...], _Shape] = {}
# Content types and schemas, each with its attribute's name.
_repeated: set[tuple[str, str]] = set()


class Decoded(NamedTuple):
    """The attributes of several lines, one for each line.

    Attributes:
        attributes: What `usual` returns for each line.
        are_plain: Whether each is an ordinary event that nobody waits for: it has no `ackto`.
    """

    attributes: Iterable[dict[str, Any] | None]
    are_plain: Iterable[bool]


UNDECODED = Decoded(repeat(None), repeat(False))
"""For any number of lines: none of them is decoded."""


def usual_lines(lines: Sequence[bytes]) -> Decoded:
    """Decode lines as `usual` does, in less time if they are alike."""
    values = _decoded(lines) if len(lines) >= _FEW else None
    if values is None:
        return _each(list(map(usual, lines)))
    try:
        if _are_usual(values):
            return Decoded(values, repeat(_ACKTO not in values[0], len(lines)))
    except TypeError:
        pass
    return _each([value if _is_usual(value) else None for value in values])


def _decoded(lines: Sequence[bytes]) -> list[Any] | None:
    """Return the value of each line, decoded by one call; None: at least one is not JSON.

    A member of the array that is not one line, but two or a part of one, moves or hides a mark.
    """
    try:
        members: list[Any] = _loads(b"[%b]" % _BETWEEN.join(lines))
    except ValueError:
        return None
    marks = len(lines) - 1
    if len(members) != marks + len(lines) or members[1::2].count(_MARK) != marks:
        return None
    return members[::2]


def _each(values: list[dict[str, Any] | None]) -> Decoded:
    return Decoded(values, [value is not None and _ACKTO not in value for value in values])


def _are_usual(values: list[Any]) -> bool:
    """Return whether these are all events with the same attributes in the same order.

    False: they have to be checked one by one.

    Raises:
        TypeError: They are not.
    """
    names = tuple(values[0])
    if names not in _shapes and not _is_event(values[0]):
        return False
    shape = _shapes.get(names)
    if shape is None or shape.has_base64:
        return False
    # The names of all events in one list. No event has a name twice, so none has more names than
    # the first. Together they have as many as if all were alike, so each has the same names.
    if list(chain.from_iterable(values)) != [*names] * len(values):
        return False
    columns = zip(*map(dict.values, values), strict=True)
    return all(
        fits is None or fits(column) for fits, column in zip(shape.columns, columns, strict=True)
    )


def _are_versions(column: tuple[Any, ...]) -> bool:
    # `set` would have to compute the hash of each text.
    return column.count("1.0") == len(column)


def _are_texts(column: tuple[Any, ...]) -> bool:
    # Joining anything but text raises, and takes two thirds of the time of comparing.
    return bool("".join(column)) and all(column)


def _are_times(column: tuple[Any, ...]) -> bool:
    if column.count(column[0]) == len(column):
        return _is_time(column[0])
    if not _is_time(min(column)):
        return False
    first, last = _second[0]
    if first <= min(column) and max(column) <= last:
        return _MILLISECONDS.issuperset(map(_fraction, column))
    return all(map(_is_time, column))


def _are_repeated(name: str, column: tuple[Any, ...]) -> bool:
    return all(_is_known(name, each) for each in set(column))


def _are_extensions(column: tuple[Any, ...]) -> bool:
    return set(map(type, column)) <= _EXTENSION_TYPES


_COLUMNS: dict[str, Callable[[tuple[Any, ...]], bool] | None] = {
    _VERSION: _are_versions,
    _ID: _are_texts,
    _SOURCE: _are_texts,
    _TYPE: _are_texts,
    _SUBJECT: _are_texts,
    _TIME: _are_times,
    _CONTENT: partial(_are_repeated, _CONTENT),
    _SCHEMA: partial(_are_repeated, _SCHEMA),
    _DATA: None,
    _BASE64: None,
}


def usual(line: bytes) -> dict[str, Any] | None:
    """Return the attributes of an ordinary event line; None means: fall back to `parse`.

    The caller must have made sure that the line holds no integer beyond 64 bits (`may_exceed`).
    """
    try:
        value: dict[str, Any] = _loads(line)
    except ValueError:
        return None
    return value if _is_usual(value) else None


def _is_usual(value: Any) -> bool:
    """Return whether `value` is an event, none of whose attributes is null."""
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
            return True
    except (KeyError, TypeError):
        pass
    return _is_event(value)


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
        if not _is_known(name, value[name]):
            return False
    for name in shape.extensions:
        if type(value[name]) not in _EXTENSION_TYPES:
            return False
    if not shape.has_base64:
        return True
    return value[_BASE64] is not None and data_complaint(value) is None


def _is_known(name: str, value: str) -> bool:
    """Return whether a content type or schema has been checked before.

    Raises:
        TypeError: The value cannot be looked up, and so is not text.
    """
    return (name, value) in _repeated or (value == _JSON and name == _CONTENT)


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
        columns=tuple(_COLUMNS.get(name, _are_extensions) for name in names),
    )
    for name in repeated:
        if len(value[name]) <= _MOST_CHARACTERS:
            if len(_repeated) >= _MOST:
                _repeated.clear()
            _repeated.add((name, value[name]))
