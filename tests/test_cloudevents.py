"""The rules of CloudEvents 1.0.2, one by one: which events are read, refused and written.

Sections are those of the specification (spec.md, "S") and of its JSON event format (json-format.md,
"J").
"""

import itertools
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.core import usual as memory
from flowtools.core.usual import usual, usual_lines
from flowtools.event import Event, EventError, parse

BASE = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
TEXT = "is not a non-empty string"
NAME = "is not a CloudEvents attribute name (a-z, 0-9)"
VALUE = "is neither text nor a truth value nor an integer"
TIME = "its 'time' is not a timestamp of RFC 3339"
MEDIA = "its 'datacontenttype' is not a media type of RFC 2046"
URI = "its 'dataschema' is not an absolute URI"

REFUSED = [
    ("S specversion", {"specversion": None}, "its specversion is not '1.0'"),
    ("S specversion", {"specversion": ""}, "its specversion is not '1.0'"),
    ("S specversion", {"specversion": "0.3"}, "its specversion is not '1.0'"),
    ("S specversion", {"specversion": 1.0}, "its specversion is not '1.0'"),
    ("S id: REQUIRED; J 2.2: null is absent", {"id": None}, "it has no 'id'"),
    ("S id: non-empty", {"id": ""}, f"its 'id' {TEXT}"),
    ("S id: String", {"id": 5}, f"its 'id' {TEXT}"),
    ("S id: String", {"id": ["1"]}, f"its 'id' {TEXT}"),
    ("S source: REQUIRED", {"source": None}, "it has no 'source'"),
    ("S source: non-empty", {"source": ""}, f"its 'source' {TEXT}"),
    ("S source: URI-reference", {"source": {}}, f"its 'source' {TEXT}"),
    ("S type: REQUIRED", {"type": None}, "it has no 'type'"),
    ("S type: non-empty", {"type": ""}, f"its 'type' {TEXT}"),
    ("S type: String", {"type": True}, f"its 'type' {TEXT}"),
    ("S subject: non-empty", {"subject": ""}, f"its 'subject' {TEXT}"),
    ("S subject: String", {"subject": 5}, f"its 'subject' {TEXT}"),
    ("S subject: String", {"subject": {}}, f"its 'subject' {TEXT}"),
    ("S subject: String", {"subject": False}, f"its 'subject' {TEXT}"),
    ("S time: RFC 3339", {"time": "yesterday"}, TIME),
    ("S time: RFC 3339", {"time": "2026-01-02"}, TIME),
    ("S time: RFC 3339, 5.6", {"time": "2026-01-02T03:04:05"}, TIME),
    ("S time: RFC 3339, 5.6", {"time": "2026-01-02 03:04:05Z"}, TIME),
    ("S time: RFC 3339, 5.6", {"time": "2026-01-02T03:04:05,123Z"}, TIME),
    ("S time: RFC 3339, 5.6", {"time": "2026-01-02T24:00:00Z"}, TIME),
    ("S time: RFC 3339, 5.6", {"time": "20260102T030405Z"}, TIME),
    ("S time: RFC 3339, 5.7", {"time": "2026-02-30T03:04:05.000Z"}, TIME),
    ("S time: RFC 3339, 5.7", {"time": "2026-13-01T03:04:05.000Z"}, TIME),
    ("S time: Timestamp", {"time": 1767322445}, f"its 'time' {TEXT}"),
    ("S time: non-empty", {"time": ""}, f"its 'time' {TEXT}"),
    ("S datacontenttype: RFC 2046", {"datacontenttype": "json"}, MEDIA),
    ("S datacontenttype: RFC 2046", {"datacontenttype": "a/b; c"}, MEDIA),
    ("S datacontenttype: String", {"datacontenttype": 5}, f"its 'datacontenttype' {TEXT}"),
    ("S datacontenttype", {"datacontenttype": ""}, f"its 'datacontenttype' {TEXT}"),
    ("S dataschema: URI, RFC 3986, 4.3", {"dataschema": "schema.json"}, URI),
    ("S dataschema: URI", {"dataschema": "https://one.example/a b"}, URI),
    ("S dataschema: non-empty", {"dataschema": ""}, f"its 'dataschema' {TEXT}"),
    ("S Naming Conventions", {"ComExample": "x"}, f"'ComExample' {NAME}"),
    ("S Naming Conventions", {"my-ext": "x"}, f"'my-ext' {NAME}"),
    ("S Naming Conventions", {"my_ext": "x"}, f"'my_ext' {NAME}"),
    ("S Naming Conventions", {"": "x"}, f"'' {NAME}"),
    ("S Naming Conventions", {"\u00e6": "x"}, f"'\u00e6' {NAME}"),
    ("S Naming Conventions", {"a\nb": "x"}, f"'a\\x0ab' {NAME}"),
    ("S Type System; J 2.2", {"ext": {"a": 1}}, f"its 'ext' {VALUE}"),
    ("S Type System; J 2.2", {"ext": [1]}, f"its 'ext' {VALUE}"),
    ("S Type System; J 2.2: the integer component only", {"ext": 1.5}, f"its 'ext' {VALUE}"),
    ("J 3.1.1: mutually exclusive", {"data": 1, "data_base64": "AA=="}, "it has both data and"),
    ("J 3.1.1: data null is data", {"data": None, "data_base64": "AA=="}, "it has both data and"),
    ("J 3.1.2: Base64", {"data_base64": "?"}, "its data_base64 is not Base64"),
    ("J 3.1.2: Base64", {"data_base64": 5}, "its data_base64 is not Base64"),
    ("J 3.1.2: Base64", {"data_base64": "\u00e6"}, "its data_base64 is not Base64"),
]

READ = [
    ("S specversion, id, source, type", {}, {}),
    ("S id: any text", {"id": " "}, {}),
    ("S source: a relative reference", {"source": "1-555-123-4567"}, {}),
    ("S source: an absolute URI", {"source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"}, {}),
    ("S subject", {"subject": "mynewfile.jpg"}, {}),
    ("J 2.2: null is absent", {"subject": None}, {"subject": ...}),
    ("J 2.2: null is absent", {"time": None}, {"time": ...}),
    ("J 2.2: null is absent", {"datacontenttype": None, "data": 1}, {"datacontenttype": ...}),
    ("J 2.2: null is absent", {"dataschema": None}, {"dataschema": ...}),
    ("J 2.2: null is absent", {"ext": None}, {"ext": ...}),
    ("J 2.2: null is absent", {"data_base64": None}, {"data_base64": ...}),
    ("J 2.2: null is absent", {"data": 1, "data_base64": None}, {"data_base64": ...}),
    ("S time: RFC 3339", {"time": "2026-01-02T03:04:05Z"}, {}),
    ("S time: RFC 3339, 5.6: any number of digits", {"time": "2026-01-02T03:04:05.1234567Z"}, {}),
    ("S time: RFC 3339, 5.6: an offset", {"time": "2026-01-02T03:04:05.123+01:00"}, {}),
    ("S time: RFC 3339, 5.6: -00:00", {"time": "2026-01-02T03:04:05-00:00"}, {}),
    ("S time: RFC 3339, 5.6: lower case", {"time": "2026-01-02t03:04:05z"}, {}),
    ("S time: RFC 3339, 5.7: a leap second", {"time": "2016-12-31T23:59:60Z"}, {}),
    ("S time: RFC 3339, 5.7: a leap day", {"time": "2028-02-29T03:04:05.000Z"}, {}),
    ("S datacontenttype", {"datacontenttype": "text/xml; charset=utf-8", "data": "<a/>"}, {}),
    ("S datacontenttype: a quoted parameter", {"datacontenttype": 'a/b; c="d;e"'}, {}),
    ("S datacontenttype: without data", {"datacontenttype": "application/json"}, {}),
    ("S dataschema", {"dataschema": "urn:schema:1"}, {}),
    ("S Naming Conventions", {"comexampleextension1": "value"}, {}),
    ("S Naming Conventions: SHOULD NOT exceed 20", {"a" * 65: "value"}, {}),
    ("S Type System: String", {"ext": ""}, {}),
    ("S Type System: Boolean", {"ext": False}, {}),
    ("S Type System: Integer", {"ext": -(2**31)}, {}),
    ("J 3.1.1: an explicit null payload", {"data": None}, {}),
    ("J 3.1.2: any JSON", {"data": {"data": [1, None]}}, {}),
    ("J 3.1.2: text is not read as JSON", {"data": "{}"}, {}),
    ("J 3.1.2: Base64", {"data_base64": "AP8="}, {}),
    ("J 3.1.2: Base64 of nothing", {"data_base64": ""}, {}),
    # Exceptions: not allowed by the specification, but accepted; flowtools(7) gives the reasons.
    ("S Type System: control characters", {"subject": "a\nb", "id": "\u0085"}, {}),
    ("S Type System: noncharacters", {"subject": "\ufdd0"}, {}),
    ("S Type System: Integer of 32 bits", {"ext": 2**40}, {}),
    ("S source: URI-reference", {"source": "my server"}, {}),
    ("J 3.1.2: MAY fail", {"datacontenttype": "application/xml", "data": {"a": 1}}, {}),
]


def lines(changes):
    yield orjson.dumps(BASE | changes)
    yield orjson.dumps(BASE | {"subject": "x", "time": "2026-01-02T03:04:05.678Z"} | changes)


@pytest.mark.parametrize(("section", "changes", "why"), REFUSED)
def test_an_event_against_the_specification_is_refused_with_the_reason(section, changes, why):
    for line in lines(changes):
        assert usual(line) is None
        with pytest.raises(EventError) as refusal:
            parse(line)
        assert str(refusal.value).startswith(f"not a CloudEvents 1.0 event: {why}")


@pytest.mark.parametrize(("section", "changes", "differs"), READ)
def test_an_event_within_the_specification_is_read(section, changes, differs):
    for line in lines(changes):
        expected = json.loads(line) | differs
        expected = {name: value for name, value in expected.items() if value is not ...}
        assert parse(line).attributes == expected
        assert usual(line) in (None, expected)


@pytest.mark.parametrize(
    "time",
    [
        *("2026-01-02T03:04:05.12", "2026-01-02T03:04:05.12Z0", "2026-01-02T03:04:05.1x3Z"),
        *("2026-01-02T03:04:05.123Zx", "2026-01-02T03:04:05.5", "2026-01-02T03:04:05.123z "),
        *("2026-01-02T03:04:05.\u0661\u0662\u0663Z", "2026-01-02T03:04:05.", ""),
        *("2026-01-02T03:04:60.5Zx", "2026-01-02T03:04:05.123+24:00", 5, None, [], {}, True),
    ],
)
@pytest.mark.parametrize("more", [{}, {"data": 1}, {"data": 1, "ext": "x"}])
def test_a_remembered_line_does_not_admit_a_merely_similar_one(time, more):
    base = BASE | {"subject": "x"} | more
    for known in ("2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05.678Z"):
        assert usual(orjson.dumps(base | {"time": known})) == base | {"time": known}
    assert usual(orjson.dumps(base | {"time": time})) is None


def test_lines_with_the_same_member_names_are_each_checked():
    good = BASE | {"datacontenttype": "text/xml", "dataschema": "urn:a", "data_base64": "AA=="}
    good |= {"ext": "x", "subject": "s", "time": "2026-01-02T03:04:05Z"}
    for _ in range(2):
        assert usual(orjson.dumps(good)) == good
    for name, values in {
        **{key: ["", 5, None, {}, False] for key in ("id", "source", "type", "subject")},
        "specversion": ["0.3", 1, None],
        "datacontenttype": ["text", "", 5, None, {}],
        "dataschema": ["a", "text/xml", "", 5, None, []],
        "data_base64": ["?", 5, None, {}],
        "time": ["2026-01-02", "", 5, None],
        "ext": [1.5, [], {}, None],
    }.items():
        for value in values:
            assert usual(orjson.dumps(good | {name: value})) is None, (name, value)


TIMES = ["2026-01-02T03:04:05.123Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:06.000Z"]
VALUES = [*TIMES, TIMES[0] + "x", "2026-02-30T03:04:05.000Z", "1.0", "a/b", "urn:a", "AA==", ""]
VALUES += [None, True, 0, 2**63, 1.5, [], {}, ["1.0"], "\u0661", "application/json"]
OPTIONAL = {"subject": "x", "time": TIMES[0], "datacontenttype": "application/json", "data": {}}
OPTIONAL |= {"dataschema": "urn:a", "data_base64": "AA==", "ackto": "unix:/a#1.1", "ext": 1}
ODD_LINES = [
    b"",
    b" \n",
    b"7",
    b"[1]",
    b'{"specversion":"1.0"',
    b'"specversion"',
    b"\xef\xbb\xbf{}",
]
ODD_LINES += [orjson.dumps([*BASE]), orjson.dumps(BASE)[:-1] + b',"id":""}']


def parsed(line):
    try:
        return parse(line).attributes
    except EventError:
        return None


@st.composite
def blocks(draw):
    """Return lines of one shape, in a few of which a value, a name or everything differs."""
    shape = BASE | {name: OPTIONAL[name] for name in draw(st.sets(st.sampled_from([*OPTIONAL])))}
    block = []
    for number in range(draw(st.integers(1, 9))):
        event = shape | {"id": str(number)}
        if "time" in event:
            event["time"] = draw(st.sampled_from(TIMES))
        match draw(st.integers(0, 30)):
            case 0 | 1 | 2:
                event[draw(st.sampled_from([*shape, "other"]))] = draw(st.sampled_from(VALUES))
            case 3:
                del event[draw(st.sampled_from([*shape]))]
            case 4:
                event["n" * 5] = event.pop(draw(st.sampled_from([*shape])))
            case 5:
                block.append(draw(st.sampled_from(ODD_LINES)))
                continue
            case 6:
                event = dict(draw(st.permutations([*event.items()])))
        block.append(orjson.dumps(event) + draw(st.sampled_from([b"", b"\n", b" \r\n"])))
    return block


def check(block):
    decoded = usual_lines(block)
    for line, found, plain in zip(block, decoded.attributes, decoded.are_plain, strict=True):
        assert found in (None, parsed(line))
        assert found == usual(line)
        assert plain == (found is not None and "ackto" not in found)


@given(blocks())
def test_a_block_of_lines_is_checked_as_strictly_as_each_line(block):
    check(block)


@pytest.mark.parametrize("payload", ["data", "data_base64"])
@pytest.mark.parametrize("name", [*BASE, *OPTIONAL, "other"])
def test_a_line_that_differs_from_its_block_in_one_value_is_found(name, payload):
    shape = BASE | OPTIONAL
    del shape["data" if payload == "data_base64" else "data_base64"]
    block = [orjson.dumps(shape | {"id": str(number)}) for number in range(5)]
    assert usual_lines(block).attributes == [json.loads(line) for line in block]
    for value in VALUES:
        other = orjson.dumps(shape | {name: value})
        renamed = {name * 2 if each == name else each: value for each, value in shape.items()}
        check([*block, other])
        check([other, *block])
        check([*block, orjson.dumps(renamed)])
        check([*block, orjson.dumps(renamed | {name: value}), orjson.dumps(shape)])
    for line in ODD_LINES:
        check([*block, line])
        check([line, *block])


def test_members_of_two_lines_that_continue_each_other_are_not_taken_for_alike():
    first, *middle, last = (OPTIONAL | BASE).items()
    whole = orjson.dumps(dict([first, *middle, last]))
    short = orjson.dumps(dict([first, *middle]))
    moved = orjson.dumps(dict([last, first, *middle]))
    end = orjson.dumps(dict([last]))
    for block in itertools.product([whole, short, moved, end], repeat=4):
        check([whole, *block])


WHOLE = orjson.dumps(BASE)
OPEN = orjson.dumps(BASE | {"data": [1]})[:-2]
PIECES = [
    WHOLE,
    OPEN,
    WHOLE + b"," + WHOLE,
    b"2]}",
    b"2]},{}",
    b"1,2",
    b"]",
    b"[",
    b",",
    b'"',
    b'"x',
]
PIECES += [
    b'{"a":"',
    b"{}]",
    b"[{}",
    b"{},[" + WHOLE,
    WHOLE + b"]",
    b'1,"x",2',
    b"[1],[2]",
    b"// a",
]


@pytest.mark.parametrize("mark", [b"", b',"x",'])
def test_a_line_is_not_completed_by_the_next(mark):
    """The lines of a block are decoded as one array: no two may make one value, or one two."""
    for first, second in itertools.product(PIECES, PIECES):
        check([first + mark, second, *[WHOLE] * 3])
        check([WHOLE, first, mark + second, WHOLE])
        check([*[WHOLE] * 2, first, WHOLE, second])
        check([WHOLE, second, WHOLE + b"," + WHOLE, OPEN, b"2]}", first])


@pytest.mark.parametrize("optional", [(), ("time",), ("data", "ext"), (*OPTIONAL,)])
def test_lines_of_one_program_need_no_second_look(optional):
    shape = {name: OPTIONAL[name] for name in optional if name != "data"}
    block = [BASE | shape | {"id": f"{number}"} for number in range(9)]
    assert usual_lines([orjson.dumps(event) for event in block]).attributes == block


def test_the_memory_of_line_shapes_is_bounded():
    for number in range(1000):
        line = BASE | {f"ext{number}": 1, "datacontenttype": f"text/{number}"}
        assert usual(orjson.dumps(line)) == line
    line = BASE | {"a" * 5000: 1, "time": f"2026-01-02T03:04:05.{'1' * 5000}Z"}
    assert usual(orjson.dumps(line)) == line
    assert max(len(memory._shapes), len(memory._repeated)) <= memory._MOST
    assert len(memory._last_time[0]) < 100
    assert all(len(name) < 2000 for names in memory._shapes for name in names)


def test_a_batch_is_another_json_value():
    """J 4: the batch format is a format of its own."""
    with pytest.raises(EventError, match="not an event"):
        parse(orjson.dumps([BASE]))


def test_the_last_of_two_equal_members_counts():
    """RFC 8259, section 4: a reader may take the last one."""
    assert parse(orjson.dumps(BASE)[:-1] + b',"id":"2"}').id == "2"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"source": ""}, f"its 'source' {TEXT}"),
        ({"source": 5}, f"its 'source' {TEXT}"),
        ({"type": ""}, f"its 'type' {TEXT}"),
        ({"id": 5}, f"its 'id' {TEXT}"),
        ({"subject": 5}, f"its 'subject' {TEXT}"),
        ({"time": "yesterday"}, TIME),
        ({"datacontenttype": "json"}, MEDIA),
        ({"dataschema": "a"}, URI),
        ({"myExt": 1}, f"'myExt' {NAME}"),
        ({"specversion": "0.3"}, "'specversion' is not an extension"),
        ({"data_base64": "AA=="}, f"'data_base64' {NAME}"),
        ({"ext": {}}, f"its 'ext' {VALUE}"),
        ({"ext": 1.0}, f"its 'ext' {VALUE}"),
        ({"ext": 2**31}, "its 'ext' is an integer of more than 32 bits: write it as text"),
    ],
)
def test_an_event_against_the_specification_cannot_be_constructed(given, why):
    given = {"type": "t", "source": "s"} | given
    with pytest.raises(EventError) as refusal:
        Event(given.pop("type"), **given)
    assert str(refusal.value) == why


def test_forbidden_characters_are_escaped_when_an_event_is_constructed():
    event = Event("t", source="s", subject="a\nb\u0085\ufdd0\udce6\U0001ffff", ext="\x1b[0m")
    assert event.subject == r"a\x0ab\x85\ufdd0\udce6\U0001ffff"
    assert event.ext == r"\x1b[0m"
    assert parse(event.encode()) == event


def test_unusual_but_allowed_text_stays_unchanged():
    event = Event("t", source="s", subject="\u00e6\u2028 \U0001f600\u00a0")
    assert event.subject == "\u00e6\u2028 \U0001f600\u00a0"


def test_an_empty_subject_is_left_out():
    assert "subject" not in Event("t", source="s", subject="").attributes


def test_an_explicit_media_type_is_kept():
    event = Event("t", b"<a/>", source="s", datacontenttype="application/xml")
    assert (event.datacontenttype, event.data) == ("application/xml", b"<a/>")


WORKER = """
class Spoils:
    def start(self, event):
        event.attributes |= event.data
        return event
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_worker_cannot_write_events_against_the_specification(run, tmp_path, isolation):
    (tmp_path / "mine.py").write_text(WORKER)
    events = [{"subject": ""}, {"my-ext": 1}, {"ext": {}}, {"time": "soon"}, {"subject": "fine"}]
    given = b"".join(orjson.dumps(BASE | {"data": each}) + b"\n" for each in events)
    status, out, err = run("flow-work", "mine:Spoils", "--isolation", isolation, input=given)
    assert (status, [json.loads(line)["subject"] for line in out.splitlines()]) == (1, ["fine"])
    for why in (f"its 'subject' {TEXT}", f"'my-ext' {NAME}", f"its 'ext' {VALUE}", TIME):
        assert f"rejected: ResultError: a result is not a CloudEvents 1.0 event: {why}" in err


def test_a_content_type_is_no_schema_even_after_a_line_of_the_same_shape():
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": 1}
    event |= {"datacontenttype": "application/json", "dataschema": "https://example.com/s"}
    assert usual(json.dumps(event).encode()) == event
    assert usual(json.dumps(event | {"dataschema": "application/json"}).encode()) is None
