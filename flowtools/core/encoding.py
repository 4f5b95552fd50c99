"""Python values as JSON: a form for types that JSON does not have, and errors that name the place.

orjson writes the types of JSON, and also dataclasses, enumerations and UUIDs. For any other value
it calls `plain`, which returns a value that orjson can write. If orjson fails, `again` searches
the whole value for the culprit and names its place. This is slow, and done only then.
"""

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

MAX_DEPTH = 254
"""Maximum levels of nesting of an event that is written, including its own object.

This is orjson's limit for writing; a line that is read may have 1024 levels.
"""

OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME
"""orjson's options for a line. Datetimes go to `plain`: orjson would accept one without a zone."""

MAX_PATH = 200
"""Maximum number of characters of the place that an error names."""

MAX_KEY = 80
"""Maximum number of characters of a key that an error names."""

_DEEP = f"it is nested deeper than {MAX_DEPTH} levels"
_NOT_FINITE = "NaN and infinity are not JSON numbers"
_NAIVE = "a datetime without a time zone names no moment: give it one, as datetime.now(UTC)"


def plain(value: Any) -> Any:
    """Return a JSON form for a value of another type; its members may be of any type.

    | type | form |
    | --- | --- |
    | datetime | RFC 3339 text, `Z` for UTC; without a time zone it is refused |
    | date, time | ISO 8601 text |
    | timedelta | seconds, a number |
    | Decimal | text, so that no digit is lost; NaN and infinity are refused |
    | Path, or what has `__fspath__` | text; bytes that are not UTF-8 as in `\\xe6` |
    | NamedTuple | object, by the names of its fields |
    | set, frozenset, the keys of a dict | array, sorted |
    | deque, range, any other sequence | array |
    | any other mapping | object |
    | numpy's scalars and arrays (what has `__array__` and `tolist`) | number, or nested arrays |

    Raises:
        TypeError: The value has no JSON form; the text says why.
    """
    for kinds, form in _FORMS:
        if isinstance(value, kinds):
            return form(value)
    if hasattr(type(value), "__array__") and callable(getattr(value, "tolist", None)):
        if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):
            raise TypeError(f"{_name(value)} has no unit here: give a datetime, or a number")
        return value.tolist()
    if isinstance(value, BaseException):
        raise TypeError(f"{_name(value)} is an exception: raise it")
    hint = ": make it a list" if isinstance(value, Iterator) else ""
    raise TypeError(f"{_name(value)} has no JSON form{hint}")


def _moment(value: datetime) -> str:
    if value.utcoffset() is None:
        raise TypeError(_NAIVE)
    text = value.isoformat()
    return text[:-6] + "Z" if value.utcoffset() == timedelta() else text


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise TypeError(_NOT_FINITE)
    return str(value)


def _path(value: "os.PathLike[Any]") -> str:
    return os.fsencode(value).decode("utf-8", "backslashreplace")


def _tuple(value: Any) -> Any:
    return value._asdict() if hasattr(value, "_asdict") else list(value)


def _ordered(value: Iterable[Any]) -> list[Any]:
    members = list(value)
    try:
        # Sets are compared by inclusion, which says nothing about most pairs.
        by_text = any(isinstance(each, AbstractSet) for each in members)
        return sorted(members, key=_as_text if by_text else None)
    except Exception:  # noqa: BLE001  their own code compares; text can always be compared
        return sorted(members, key=_as_text)


def _as_text(value: Any) -> bytes:
    return orjson.dumps(value, plain, OPTIONS)


def _refused(reason: str) -> Callable[[Any], Any]:
    def refuse(value: Any) -> Any:
        if isinstance(value, Coroutine):
            value.close()  # Otherwise Python warns much later that it was never awaited.
        raise TypeError(f"{_name(value)} {reason}")

    return refuse


# A narrow type must stand before a wider one that it also is: a datetime is a date, a tuple a
# Sequence. `float` is for its subclasses, such as numpy.float64, which orjson does not write.
_FORMS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (datetime, _moment),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, timedelta.total_seconds),
    (Decimal, _number),
    (os.PathLike, _path),
    (tuple, _tuple),
    (float, float),
    ((bytes, bytearray, memoryview), _refused("is not text: decode it, or encode it as Base64")),
    (Coroutine, _refused("has not run, because nothing awaits it: use asyncio.run(...)")),
    (AbstractSet, _ordered),
    (Mapping, dict),
    ((Sequence, ValuesView), list),
)
"""Forms by type; the first matching type counts."""


def again(value: Any) -> bytes:
    """Return `value`, for which orjson has raised an error, as a line of JSON after all.

    That works if the only trouble was a key of a subclass of str, such as a StrEnum, for which
    orjson has a slower mode.

    Raises:
        TypeError: The value cannot be written; the text says why, and the place in it.
    """
    if (found := next(_culprits(value, "", 0), None)) is not None:
        raise TypeError(_said(*found))
    try:
        return orjson.dumps(value, plain, OPTIONS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        text = str(error)
        raise TypeError(text[:1].lower() + text[1:]) from None


def not_finite(value: Any) -> str | None:
    """Return the place of a number in `value` that is not finite; None if there is none.

    orjson silently writes such a number as null.
    """
    found = next(_culprits(value, "", 0), None)
    return None if found is None else _said(*found)


def _said(where: str, reason: str) -> str:
    if len(where) > MAX_PATH:
        where = where[:MAX_PATH] + "..."
    return f"{where}: {reason}" if where and reason != _DEEP else reason


def _culprits(value: Any, where: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the place of each value without a JSON form, and the reason."""
    if isinstance(value, Enum):
        value = value.value
    reason = _scalar(value)
    if reason:
        yield where, reason
    elif reason is None and depth >= MAX_DEPTH:
        yield where, _DEEP
    elif reason is None:
        yield from _culprits_among(value, where, depth)


def _culprits_among(value: Any, where: str, depth: int) -> Iterator[tuple[str, str]]:
    """Yield the culprits among the members of `value`."""
    if isinstance(value, dict):
        for key, member in value.items():
            if reason := _key_reason(key):
                yield where, reason
            yield from _culprits(member, f"{where}{_step(key)}" if where else str(key), depth + 1)
    elif isinstance(value, list) or type(value) is tuple:
        for index, member in enumerate(value):
            yield from _culprits(member, f"{where}[{index}]", depth + 1)
    elif is_dataclass(value) and not isinstance(value, type):
        # orjson leaves out fields that begin with an underscore.
        for name in (each.name for each in fields(value) if not each.name.startswith("_")):
            yield from _culprits(getattr(value, name, None), f"{where}.{name}", depth + 1)
    else:
        try:
            # Not `plain` for a set: it sorts by JSON text, which fails for the culprit itself.
            form = list(value) if isinstance(value, AbstractSet) else plain(value)
        except Exception as error:  # noqa: BLE001  a user's class may raise anything
            text = str(error)
            yield where, text if isinstance(error, TypeError) else f"{_name(error)}: {text}"
        else:
            yield from _culprits(form, where, depth + 1)


def _key_reason(key: Any) -> str:
    if not isinstance(key, str):
        return f"a key of an object is text, and {_shown(key)} is {_name(key)}"
    reason = _scalar(key)
    return f"a key: {reason}" if reason else ""


def _scalar(value: Any) -> str | None:
    """Return why a simple value cannot be written, or "" if it can; None: it may have members."""
    if value is None or isinstance(value, bool | UUID):
        return ""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return "str is not valid UTF-8: surrogates not allowed"
        return ""
    if isinstance(value, int):
        return "" if -(2**63) <= value < 2**64 else "integer exceeds 64-bit range"
    if type(value) is float:
        return "" if isfinite(value) else _NOT_FINITE
    return None


def _shown(key: Any) -> str:
    try:
        return repr(key)[:MAX_KEY]
    except Exception:  # noqa: BLE001  a user's class may raise anything, and a long integer does
        return "one"


def _step(key: Any) -> str:
    text = str(key)
    return f".{text}" if text.isidentifier() else f"[{text!r}]"


def _name(value: Any) -> str:
    kind = type(value)
    own = kind.__module__ in ("builtins", "__main__")
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"
