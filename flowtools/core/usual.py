"""A quick look at an event line: the pool's inner loop, as short as it can be."""

import re
from typing import Any

import orjson

from flowtools.core.cloudevents import complaint

_loads = orjson.loads
# orjson gives a name that it meets again as the same object, and a dict finds what is the same
# object without a comparison: a look-up with a name from orjson takes half the time.
_VERSION, _ID, _SOURCE, _TYPE, _SUBJECT, _TIME, _CONTENT, _ACKTO, _DATA = _loads(
    '["specversion","id","source","type","subject","time","datacontenttype","ackto","data"]'
)
_JSON = "application/json"
# As `rfc3339` writes it, and most others; any other form is looked at closely.
_usual_time = re.compile(
    "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{3}Z"
).fullmatch


def usual(line: bytes) -> dict[str, Any] | None:
    """Return the attributes of an event line; None: `parse` has to look closely.

    The pool's inner loop: as short as it can be. Only for lines that hold no integer beyond 64
    bits alone (see `may_exceed`).
    """
    try:
        value: dict[str, Any] = _loads(line)
    except ValueError:
        return None
    try:
        if (
            value[_VERSION] == "1.0"
            # True for text that is not empty; no other JSON value can be compared with text.
            and value[_ID] > ""
            and value[_SOURCE] > ""
            and value[_TYPE] > ""
            and _usual_time(value[_TIME])
            # Nothing else than these five and the usual ones of the others.
            and len(value)
            == 5
            + (_SUBJECT in value and value[_SUBJECT] > "")
            + (_CONTENT in value and value[_CONTENT] == _JSON)
            + (_DATA in value)
            + (_ACKTO in value and value[_ACKTO] > "")
        ):
            return value
    except (KeyError, TypeError, IndexError):
        pass
    return _less_usual(value)


def _less_usual(value: Any) -> dict[str, Any] | None:
    if type(value) is not dict or _VERSION not in value or None in value.values():
        return None
    return None if complaint(value) else value
