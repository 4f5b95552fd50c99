"""Integers beyond 64 bits in JSON text, found without parsing it.

orjson silently reads such an integer as a floating-point number, which has another value. Checking
every number would cost more than reading the line. So a whole block is first searched for nineteen
digits in a row, which hardly any block has.
"""

import re

_DIGITS = bytes(48 if 48 <= byte <= 57 else 0 for byte in range(256))
_NINETEEN_DIGITS = b"0" * 19
# The bytes after which a number can begin; the last one ends a byte order mark.
_STARTS = bytes(45 if byte in b"-[:, \t\r\n\xbf" else mark for byte, mark in enumerate(_DIGITS))
_LONG_NUMBER = b"-" + _NINETEEN_DIGITS
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONG_INTEGER = re.compile(rb"(?<![0-9.eE+-])-?[0-9]{19,}(?![0-9.eE])")


def long_digits(text: bytes) -> bool:
    """Return whether `text` has as many digits in a row as an integer beyond 64 bits."""
    return _NINETEEN_DIGITS in text.translate(_DIGITS)


def may_exceed(text: bytes) -> bool:
    """Return whether `text` may hold an integer beyond 64 bits (cheap, for a whole block).

    Digits inside a string, such as an id, do not count unless a number could begin there.
    """
    # Any nineteen digits in a row include four digits at distances of four bytes. Searched from
    # the end: `in` takes three times as long in a block with nearly as many digits.
    if text[::4].translate(_DIGITS).rfind(b"0000") < 0:
        return False
    seen = text.translate(_STARTS)
    return _LONG_NUMBER in seen or seen.startswith(_NINETEEN_DIGITS)


def huge_integer(line: bytes) -> str | None:
    """Return the first integer beyond 64 bits in `line`, which is JSON; None if there is none."""
    # orjson would read it as a floating-point number of another value, without an error.
    for found in _LONG_INTEGER.findall(_STRING.sub(b'""', line)):
        if len(found) > 20 or not -(2**63) <= int(found) < 2**64:
            return str(found[:24].decode())
    return None
