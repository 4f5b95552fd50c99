"""The rules of CloudEvents 1.0.2 for an event's attributes, and the checks for them.

`complaint` checks events that are read or returned by a Worker. It refuses what the specification
forbids, with four exceptions, each of which loses nothing:

- Control characters in text (section "Type System"): a file's name or an error may hold them.
- Integers of 33 to 64 bits (same section): other programs write offsets and milliseconds as such,
  and JSON keeps them.
- A `source` that is not a URI-reference: it serves as a name here, and is only compared.
- `data` that is not text beside a `datacontenttype` other than JSON (JSON format, 3.1.2: a reader
  may refuse it).

Events that flowtools makes have none of these: `Event` refuses or cleans its arguments (`clean`,
`checked`).
"""

import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import date
from typing import Any

REQUIRED = ("id", "source", "type")
"""Attributes that every event has, as non-empty text (section "REQUIRED Attributes")."""

OPTIONAL = ("subject", "time", "datacontenttype", "dataschema")

_CORE = frozenset({"specversion", *REQUIRED, *OPTIONAL, "data", "data_base64"})
_NAME = re.compile(r"[a-z0-9]+").fullmatch
# A second may be 60: RFC 3339 (5.6) has leap seconds, which Python's datetime refuses.
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]"
    r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_TOKEN = r"[A-Za-z0-9!#$&^_.+'*%`|~-]+"  # noqa: S105  RFC 2045, section 5.1
_MEDIA_TYPE = re.compile(
    rf'{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}\s*=\s*(?:{_TOKEN}|"(?:[^"\\]|\\.)*"))*\s*;?\s*'
).fullmatch
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x20<>\"{}|\\^`]+").fullmatch
# The noncharacters of Unicode are U+FDD0 to U+FDEF and the last two code points of each plane.
_FORBIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1


def complaint(attributes: Mapping[str, Any]) -> str | None:
    """Return the first rule that an event's attributes break, as text; None if they break none.

    A member that is null counts as absent (JSON format, section 2.2), except `data`.
    """
    if attributes.get("specversion") != "1.0":
        return "its specversion is not '1.0'"
    for name in REQUIRED:
        if attributes.get(name) is None:
            return f"it has no '{name}'"
        if not _is_text(attributes[name]):
            return f"its '{name}' is not a non-empty string"
    for name, value in attributes.items():
        if name not in _CORE:
            if found := _extension_complaint(name, value):
                return found
        elif name in OPTIONAL and value is not None and (found := _optional(name, value)):
            return found
    return data_complaint(attributes)


def is_time(text: object) -> bool:
    """Return whether `text` is a timestamp (RFC 3339, section 5.6)."""
    found = _TIME(text) if isinstance(text, str) else None
    if found is None:
        return False
    try:
        date(*map(int, found.groups()))
    except ValueError:
        return found[1] == "0000"  # RFC 3339 allows the year 0, Python does not.
    return True


def clean(text: str) -> str:
    r"""Return `text` with each character that an attribute may not hold escaped, as in `\\x0a`.

    These are control characters, unpaired surrogates and noncharacters (section "Type System",
    String).
    """
    # A quick test that nearly every text passes: no forbidden character is printable.
    return text if text.isprintable() else _FORBIDDEN.sub(_escaped, text)


def checked(name: str, value: Any) -> Any:
    """Return the value of an extension attribute as it is written: text is cleaned.

    Raises:
        ValueError: An extension may not have this name or this value; the text says why.
    """
    if name in _CORE and _NAME(name):
        raise ValueError(f"'{name}' is not an extension")
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        raise ValueError(f"its '{name}' is an integer of more than 32 bits: write it as text")
    if found := _extension_complaint(name, value):
        raise ValueError(found)
    return clean(value) if isinstance(value, str) else value


def optional(name: str, value: object) -> None:
    """Check that an optional attribute may have this value.

    Raises:
        ValueError: The value is not allowed; the text says why.
    """
    if found := _optional(name, value):
        raise ValueError(found)


def _optional(name: str, value: object) -> str | None:
    if not _is_text(value):
        return f"its '{name}' is not a non-empty string"
    if name == "time" and not is_time(value):
        return "its 'time' is not a timestamp of RFC 3339"
    if name == "datacontenttype" and not _MEDIA_TYPE(str(value)):
        return "its 'datacontenttype' is not a media type of RFC 2046"
    if name == "dataschema" and not _URI(str(value)):
        return "its 'dataschema' is not an absolute URI"
    return None


def _extension_complaint(name: str, value: object) -> str | None:
    if not _NAME(name):
        return f"'{clean(name)}' is not a CloudEvents attribute name (a-z, 0-9)"
    if value is None or isinstance(value, str | bool | int):
        return None
    return f"its '{name}' is neither text nor a truth value nor an integer"


def data_complaint(attributes: Mapping[str, Any]) -> str | None:
    """Return what is wrong with `data_base64`; None: nothing, or there is none."""
    coded = attributes.get("data_base64")
    if coded is None:
        return None
    if "data" in attributes:
        return "it has both data and data_base64"
    try:
        b64decode(coded, validate=True)
    except (TypeError, ValueError):
        return "its data_base64 is not Base64"
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _escaped(found: "re.Match[str]") -> str:
    return (
        found[0].encode("ascii", "backslashreplace").decode()
        if found[0] > "\x7f"
        else (f"\\x{ord(found[0]):02x}")
    )
