"""Amounts as people write them: seconds as in `90s`, `10m`, and bytes as in `10G`."""

import re
from math import isfinite

from flowtools.core.errors import UsageError

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_FORM = re.compile(r"(\d+(?:\.\d+)?)([a-z]?)")


def seconds_of(text: str) -> float:
    """Return the seconds that `text` says: 30, 30s, 10m, 2h or 1d.

    Raises:
        UsageError: The text has another form.
    """
    found = _FORM.fullmatch(text.lower())
    if not found or found[2] not in _SECONDS or not isfinite(float(found[1])):
        raise UsageError(f"'{text}' is not a time: write 30s, 10m, 2h or 1d")
    return float(found[1]) * _SECONDS[found[2]]


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
    return pattern, seconds_of(seconds)
