"""Integers beyond 64 bits in JSON text, found without parsing it.

orjson reads such an integer as a floating-point number, which is another number, and does not
complain. Looking at every number would cost more than reading the line; so a whole block is
first asked for nineteen digits in a row, which hardly any has.
"""

import re

_DIGITS = bytes(48 if 48 <= byte <= 57 else 0 for byte in range(256))
_NINETEEN_DIGITS = b"0" * 19
# What a number can follow; the last is the end of a byte order mark.
_STARTS = bytes(45 if byte in b"-[:, \t\r\n\xbf" else mark for byte, mark in enumerate(_DIGITS))
_LONG_NUMBER = b"-" + _NINETEEN_DIGITS
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")


def long_digits(text: bytes) -> bool:
    """Return whether `text` has as many digits in a row as an integer beyond 64 bits."""
    return _NINETEEN_DIGITS in text.translate(_DIGITS)


def may_exceed(text: bytes) -> bool:
    """Return whether `text` may hold an integer beyond 64 bits (cheap, for a whole block).

    Digits within a text, such as an id, are no integer unless they follow what a number
    can follow.
    """
    # Of nineteen bytes in a row, four in steps of four are in any case.
    # From behind: `in` takes three times as long where there are nearly as many digits.
    if text[::4].translate(_DIGITS).rfind(b"0000") < 0:
        return False
    seen = text.translate(_STARTS)
    return _LONG_NUMBER in seen or seen.startswith(_NINETEEN_DIGITS)


def huge_integer(line: bytes) -> str | None:
    """Return an integer beyond 64 bits that `line`, which is JSON, holds; None: it holds none."""
    # orjson reads them as floating point: a wrong number, and no complaint.
    for found in _LONG_INTEGER.findall(_STRING.sub(b'""', line)):
        if len(found) > 20 or not -(2**63) <= int(found) < 2**64:
            return str(found[:24].decode())
    return None
