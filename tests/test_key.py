"""Keys, by which events are grouped."""

import pytest

from flowtools.core.key import FIRST, Key, WatchedKey
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
        ("/list/" + "9" * 5000, None),
        ("/list/x", None),
        ("/a~1b/~0c", "deep"),
        ("/none", None),
        ("/o", '{"a":2,"b":1}'),
        ("/x/y", None),
    ],
)
def test_a_key_is_the_value_its_expression_points_to(text, value):
    assert Key.parse(text).of(EVENT) == value


@pytest.mark.parametrize("text", ["", "Subject", "data.x", "/a~2", "/a~", ".data"])
def test_an_expression_must_be_a_name_or_a_pointer(text):
    with pytest.raises(UsageError, match="invalid key"):
        Key.parse(text)


def test_a_value_nested_too_deep_gives_no_key():
    deep = []
    for _ in range(300):
        deep = [deep]
    assert Key.parse("/x").of(Event("t", {"x": deep}, source="s")) is None


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("subjct", "subject"),
        ("zzz", None),
        ("/X", "/x"),
        ("/a~1b/~0C", "/a~1b/~0c"),
        ("/a~1B/~0c", "/a~1b/~0c"),
        ("/n/deeper", None),
        ("/zzz", None),
    ],
)
def test_a_similar_expression_is_suggested(text, near):
    event = Event.of(EVENT.attributes | {"subject": "s1"})
    assert Key.parse(text).near(event) == near


def test_a_key_missing_in_all_of_the_first_events_is_warned_of_once(caplog):
    key = WatchedKey(Key.parse("/X"), "--key")
    for _ in range(FIRST - 1):
        assert key.of(EVENT) is None
    assert caplog.text == ""
    for _ in range(FIRST):
        key.of(EVENT)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "--key '/X': none of the first 100 events has it, so nothing is kept in order;"
        " perhaps '/x' is meant"
    )


def test_a_key_present_in_one_of_the_first_events_causes_no_warning(caplog):
    key = WatchedKey(Key.parse("subject"), "--key")
    with_it = Event.of(EVENT.attributes | {"subject": "s1"})
    for event in [*[EVENT] * (FIRST - 1), with_it, *[EVENT] * FIRST]:
        key.of(event)
    assert caplog.text == ""


@pytest.mark.parametrize("typed", ["subjct", "/asset/ID"])
def test_flow_work_warns_of_a_misspelt_key(run, tmp_path, typed):
    (tmp_path / "mymod.py").write_text("class W:\n    def start(self, event):\n        pass\n")
    lines = [
        f'{{"specversion":"1.0","id":"{n}","source":"s","type":"t","subject":"a","data":'
        f'{{"asset":{{"id":"{n}"}}}}}}'
        for n in range(150)
    ]
    text = "\n".join(lines).encode() + b"\n"
    status, _, err = run("flow-work", "mymod:W", "-j", "4", "--key", typed, input=text)
    meant = {"subjct": "subject", "/asset/ID": "/asset/id"}[typed]
    assert status == 0
    assert err == (
        f"flow-work: warning: --key '{typed}': none of the first 100 events has it, so nothing is"
        f" kept in order; perhaps '{meant}' is meant\n"
    )
