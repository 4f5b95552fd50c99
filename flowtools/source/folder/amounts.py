"""Amounts as people write them: bytes as in `10G`, and a settle time as in `*.mxf=90s`."""

import re
from math import isfinite

from flowtools.core.errors import UsageError
from flowtools.core.times import parse_duration

_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_FORM = re.compile(r"(\d+(?:\.\d+)?)([a-z]?)")


def bytes_of(text: str) -> int:
    """Return the bytes that `text` says: 1000, 500M, 10G or 2T, in powers of ten.

    Raises:
        UsageError: The text has another form.
    """
    found = _FORM.fullmatch(text.lower())
    if not found or found[2] not in _BYTES or not isfinite(float(found[1])):
        raise UsageError(f"'{text}' is not a size: write 500M, 10G or 2T")
    return int(float(found[1]) * _BYTES[found[2]])


def settle_for(text: str) -> tuple[str, float]:
    """Return the pattern and the seconds of `text`: '*.mxf=30s'.

    Raises:
        UsageError: The text has another form.
    """
    pattern, separator, seconds = text.rpartition("=")
    if not separator or not pattern:
        raise UsageError(f"'{text}' is not a settle time by pattern: write '*.mxf=30s'")
    try:
        return pattern, parse_duration(seconds)
    except ValueError as error:
        raise UsageError(f"'{text}' is not a settle time by pattern: {error}") from None
