"""Keys: what events are grouped by."""

import pytest

from flowtools.core.key import Key
from flowtools.errors import UsageError
from flowtools.event import Event

EVENT = Event(
    "t",
    {
        "x": "a",
        "n": 7,
        "list": ["p", "q"],
        "a/b": {"~c": "deep"},
        "none": None,
        "o": {"b": 1, "a": 2},
    },
    source="s",
    id="i1",
    subject="asset",
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("subject", "asset"),
        ("id", "i1"),
        ("absent", None),
        ("/subject", None),
        ("/x", "a"),
        ("/n", "7"),
        ("/list/1", "q"),
        ("/list/2", None),
        ("/list/01", None),
        ("/list/x", None),
        ("/a~1b/~0c", "deep"),
        ("/none", None),
        ("/o", '{"a":2,"b":1}'),
        ("/x/y", None),
    ],
)
def test_a_key_is_the_value_that_its_expression_points_to(text, value):
    assert Key.parse(text).of(EVENT) == value


@pytest.mark.parametrize("text", ["", "Subject", "data.x", "/a~2", "/a~", ".data"])
def test_what_is_neither_a_name_nor_a_pointer_is_refused(text):
    with pytest.raises(UsageError, match="is no key"):
        Key.parse(text)


def test_a_value_too_deep_to_be_written_is_no_key():
    deep = []
    for _ in range(300):
        deep = [deep]
    assert Key.parse("/x").of(Event("t", {"x": deep}, source="s")) is None
