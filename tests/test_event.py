"""The event line: its content, what is refused, and agreement with another implementation."""

import copy
import json
import math
import pickle
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import assume, given
from hypothesis import strategies as st

from flowtools.core.digits import long_digits, may_exceed
from flowtools.core.encoding import MAX_DEPTH
from flowtools.core.event import (
    Event,
    EventError,
    NotAnEvent,
    decode,
    digest,
    encode_value,
    now,
    parse,
    rfc3339,
    wrap,
)
from flowtools.core.usual import usual

INTEGERS = st.integers(-(2**63), 2**64 - 1)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | INTEGERS
    | st.floats(allow_nan=False, allow_infinity=False)
    # JSON text is any Unicode except lone surrogates.
    | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
# What CloudEvents allows in text: no control characters, no noncharacters.
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1)
NAMES = TEXT
OPTIONAL = st.none() | TEXT


def nested(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


def line_of(**attributes):
    usual = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    given = {k: v for k, v in (usual | attributes).items() if v is not None}
    return json.dumps(given).encode()


@given(NAMES, JSON | st.binary(), NAMES, NAMES, OPTIONAL, OPTIONAL)
def test_an_encoded_event_is_one_line_and_decodes_to_an_equal_event(
    kind, data, source, id, subject, ackto
):
    event = Event(kind, data, source=source, id=id, subject=subject, ackto=ackto)
    line = event.encode()
    again = decode(line)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert again == event
    assert again.data == data
    assert (again.type, again.source, again.id, again.subject) == (kind, source, id, subject)


@given(JSON)
def test_any_other_json_value_becomes_the_data_of_an_event(value):
    assume(not isinstance(value, dict) or "specversion" not in value)
    line = json.dumps(value).encode()
    event = decode(line, 7)
    assert event.data == value
    assert event.attributes == {
        "specversion": "1.0",
        "id": f"{digest(line)}-7",
        "source": "flow-stdin",
        "type": "flow.stdin.line",
        "time": event.time,
        "datacontenttype": "application/json",
        "data": value,
    }


@given(NAMES, JSON, NAMES, NAMES)
def test_another_implementation_reads_our_lines(kind, data, source, id):
    event = Event(kind, data, source=source, id=id, subject="x", ackto="unix:/x#1.2")
    theirs = JSONFormat().read(None, event.encode())
    assert theirs.get_data() == data
    assert theirs.get_attributes() == {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": kind,
        "subject": "x",
        "time": datetime.fromisoformat(event.time),
        "ackto": "unix:/x#1.2",
    } | ({} if data is None else {"datacontenttype": "application/json"})


@given(NAMES, st.dictionaries(NAMES, JSON), NAMES, NAMES)
def test_we_read_the_lines_of_another_implementation(kind, data, source, id):
    theirs = CloudEvent(
        {
            "type": kind,
            "source": source,
            "id": id,
            "specversion": "1.0",
            "time": datetime(2026, 1, 2, tzinfo=UTC),
            "datacontenttype": "application/json",
            "ours": "7",
        },
        data,
    )
    event = decode(JSONFormat().write(theirs))
    assert (event.type, event.source, event.id, event.ours) == (kind, source, id, "7")
    assert (event.data, event.time) == (data, "2026-01-02T00:00:00Z")


def test_bytes_are_exchanged_with_another_implementation():
    event = Event("t", b"\x00\xff", source="s", id="1")
    theirs = JSONFormat().read(None, event.encode())
    assert theirs.get_data() == b"\x00\xff"
    assert decode(JSONFormat().write(theirs)).data == b"\x00\xff"


def test_each_event_gets_its_own_id_and_time():
    one, other = Event("t", source="s"), Event("t", source="s")
    assert one.id != other.id
    assert one.time.endswith("Z")
    assert datetime.fromisoformat(one.time).tzinfo == UTC


def test_a_known_attribute_without_a_value_is_none():
    event = decode(line_of())
    assert (event.subject, event.time) == (None, None)
    assert (event.datacontenttype, event.dataschema) == (None, None)
    with pytest.raises(AttributeError, match=r"^deadline$"):
        Event.__new__(Event).deadline  # noqa: B018


def test_bytes_get_the_media_type_octet_stream():
    event = Event("t", b"\0\1", source="s")
    assert event.datacontenttype == "application/octet-stream"
    assert event.deadline is None


def test_a_byte_order_mark_and_surrounding_space_are_ignored():
    assert decode(b" \xef\xbb\xbf \t" + line_of(data=1)).data == 1


def test_the_fast_path_checks_data_base64_too():
    assert usual(line_of(data_base64="AA==")) == json.loads(line_of(data_base64="AA=="))
    assert usual(line_of(data_base64="?")) is None


def test_digests_are_the_same_in_every_release():
    """Ids are made of digests: with another digest, events already done would be repeated."""
    assert digest("a", "é", b"\0b") == "4abaefee2f362a99d3ef13e67e6321fe"
    assert digest("a", "bc") == "a4d2502de3aca3ac159bba2d99ea81a8"
    assert len(digest("\ud800")) == 32


def test_attributes_are_read_by_name_and_data_by_key():
    event = Event("t", {"a": [1], "n": None}, source="s", redelivered=True)
    assert (event["a"], event.get("a"), event.get("n", 5), event.get("b", 5)) == ([1], [1], None, 5)
    assert (event.redelivered, event.subject, event.dataschema) == (True, None, None)
    with pytest.raises(AttributeError, match="the event has no attribute 'ackto'"):
        _ = event.ackto


@pytest.mark.parametrize("data", [None, "text", [1], b"raw"])
def test_get_returns_the_default_if_data_is_not_an_object(data):
    assert Event("t", data, source="s").get("key", "default") == "default"


def test_an_extension_without_a_value_is_left_out():
    assert "ackto" not in Event("t", source="s", ackto=None).attributes


@pytest.mark.parametrize("name", ["Upper", "under_score", "", "\u00e6"])
def test_a_name_that_cloudevents_does_not_allow_is_refused(name):
    with pytest.raises(EventError, match="is not a CloudEvents attribute name"):
        Event("t", source="s", **{name: 1})


def test_an_event_survives_pickle_and_copy():
    event = Event("t", {"a": 1}, source="s")
    event.deadline = 5.0
    for again in (pickle.loads(pickle.dumps(event)), copy.deepcopy(event)):
        assert again == event
        assert again.deadline == 5.0


def test_an_event_is_cancelled_by_its_deadline_or_by_cancel():
    event = Event("t", source="s")
    assert not event.cancelled()
    event.deadline = math.inf
    assert not event.cancelled()
    event.deadline = time.monotonic()
    assert event.cancelled()
    event.deadline = math.inf
    event.cancel()
    assert event.cancelled()


def test_the_repr_names_the_event_and_shows_no_data():
    event = Event("t", {"password": "secret"}, source="s", id="1", subject="x")
    assert repr(event) == "<Event type='t' subject='x' id='1'>"


@dataclass
class Measured:
    seconds: float


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (math.nan, "data: NaN and infinity are not JSON numbers"),
        ({"a": [1, math.inf]}, "data.a[1]: NaN and infinity are not JSON numbers"),
        ((-math.inf,), "data[0]: NaN and infinity are not JSON numbers"),
        (Measured(math.nan), "data.seconds: NaN and infinity are not JSON numbers"),
        (2**64, "data: integer exceeds 64-bit range"),
        (-(2**63) - 1, "data: integer exceeds 64-bit range"),
        ("\ud800", "data: str is not valid UTF-8: surrogates not allowed"),
        ({1: 2}, "data: a key of an object is text, and 1 is int"),
        ({"\udfff": 2}, "data: a key: str is not valid UTF-8: surrogates not allowed"),
        ({"my key": [0, 1j]}, "data['my key'][1]: complex has no JSON form"),
        ({"a": b"raw"}, "data.a: bytes is not text: decode it, or encode it as Base64"),
        (nested(MAX_DEPTH), f"it is nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_values_that_json_cannot_represent_are_refused(data, why):
    with pytest.raises(EventError) as refusal:
        Event("t", data, source="s").encode()
    assert str(refusal.value) == f"cannot be written as JSON: {why}"


def test_a_list_that_contains_itself_is_refused():
    data = []
    data.append(data)
    with pytest.raises(EventError, match="nested deeper"):
        encode_value(data)


@pytest.mark.parametrize("value", [None, {"a": None}, "null", [1.5, None], 2**64 - 1, -(2**63)])
def test_values_at_the_edge_of_what_json_allows_are_written(value):
    assert json.loads(encode_value(value)) == value


def test_the_deepest_event_is_written_and_read():
    event = Event("t", nested(MAX_DEPTH - 1), source="s")
    assert decode(event.encode()) == event


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "not JSON: "),
        (b"{", "not JSON: "),
        (b"NaN", "not JSON: "),
        (b'{"a":Infinity}', "not JSON: "),
        (b"{'a': 1}", "not JSON: "),
        (b"1 2", "not JSON: "),
        (b'"\xff"', "not JSON: "),
        (b'"\xed\xa0\x80"', "not JSON: "),
        (b'"\\ud800"', "not JSON: "),
        (b'"a\nb"', "not JSON: "),
        (b"[" * 1025 + b"]" * 1025, "not JSON: "),
        (b"18446744073709551616", "not JSON: integer 18446744073709551616 exceeds 64 bits"),
        (b"[-9223372036854775809]", "not JSON: integer -9223372036854775809 exceeds 64 bits"),
        (b"9" * 300, f"not JSON: integer {'9' * 24} exceeds 64 bits"),
        (line_of(specversion="0.3"), "not a CloudEvents 1.0 event: its specversion is not '1.0'"),
        (line_of(id=None), "not a CloudEvents 1.0 event: it has no 'id'"),
        (line_of(source=None), "not a CloudEvents 1.0 event: it has no 'source'"),
        (line_of(type=None), "not a CloudEvents 1.0 event: it has no 'type'"),
        (line_of(id=5), "not a CloudEvents 1.0 event: its 'id' is not a non-empty string"),
        (line_of(type=""), "not a CloudEvents 1.0 event: its 'type' is not a non-empty string"),
        (
            line_of(data=1, data_base64="AA=="),
            "not a CloudEvents 1.0 event: it has both data and data_base64",
        ),
        (line_of(data_base64="?"), "not a CloudEvents 1.0 event: its data_base64 is not Base64"),
        (line_of(data_base64=5), "not a CloudEvents 1.0 event: its data_base64 is not Base64"),
    ],
)
def test_a_line_that_is_not_an_event_is_refused_with_a_reason(line, why):
    with pytest.raises(EventError) as refusal:
        decode(line)
    assert str(refusal.value).startswith(why)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"18446744073709551615", 2**64 - 1),
        (b"[-9223372036854775808]", [-(2**63)]),
        (b'"99999999999999999999999"', "9" * 23),
        (b'{"\\"99999999999999999999999": 1}', {'"' + "9" * 23: 1}),
        (b"1.99999999999999999999999", 2.0),
        (b"99999999999999999999999.5", 1e23),
        (b"99999999999999999999999e0", 1e23),
        (b"1e-99999999999999999999999", 0.0),
        (b"[" * 1024 + b"]" * 1024, None),
        (b" 1 \r\n", 1),
    ],
)
def test_values_that_resemble_a_huge_integer_are_read(line, value):
    data = decode(line).data
    assert value is None or data == value


@given(JSON | st.binary())
def test_the_fast_path_decodes_like_the_full_decoder(value):
    usually = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    for line in (
        value if isinstance(value, bytes) else json.dumps(value).encode(),
        line_of(data=None if isinstance(value, bytes) else value),
        *(json.dumps(usually | {name: 5}).encode() for name in usually),
    ):
        attributes = usual(line)
        assert attributes is None or attributes == decode(line, digits_checked=True).attributes


@pytest.mark.parametrize(
    "line", [line_of(), line_of(subject="x", ackto="unix:/a#1.2"), line_of(data=[])]
)
def test_nearly_every_event_takes_the_fast_path(line):
    assert usual(line) == json.loads(line)


@given(st.integers())
def test_no_integer_beyond_64_bits_is_overlooked_in_a_block(number):
    line = b"[%d]" % number
    if not -(2**63) <= number < 2**64:
        assert long_digits(line)
        assert may_exceed(line)


@given(
    st.integers(10**18, 10**21),
    st.sampled_from([b"%d", b"[%d]", b'{"a":%d}', b"[1,-%d]", b"[ %d ]", b"\xef\xbb\xbf%d"]),
)
def test_an_integer_that_is_too_long_is_never_overlooked(number, form):
    for before in range(8):
        assert may_exceed(b"x" * before + b"\n" + form % number + b"\n")


@pytest.mark.parametrize(
    "line",
    [b'"9999999999999999999999"', b'{"id":"x9999999999999999999999"}', b"1.99999999999999999999"],
)
def test_digits_inside_strings_and_floats_need_no_closer_look(line):
    assert not may_exceed(line)


@given(st.lists(st.text() | st.binary()), st.lists(st.text() | st.binary()))
def test_a_digest_differs_where_its_parts_differ(one, other):
    def raw(parts):
        return [p.encode() if isinstance(p, str) else p for p in parts]

    assert (digest(*one) == digest(*other)) == (raw(one) == raw(other))


def test_times_are_utc_in_milliseconds():
    assert rfc3339(0.0625) == "1970-01-01T00:00:00.062Z"
    assert abs(datetime.fromisoformat(now()).timestamp() - time.time()) < 60


def test_parse_accepts_only_events():
    line = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":5}\n'
    assert parse(line) == decode(line)
    for value in (5, None, [], {"id": "1"}):
        with pytest.raises(NotAnEvent, match="it has no 'specversion'") as caught:
            parse(orjson.dumps(value))
        assert caught.value.value == value
    with pytest.raises(EventError, match="not JSON"):
        parse(b"{")


def test_wrap_makes_an_event_of_any_value_with_the_given_source():
    event = wrap(None, source="mine", type="my.line", id="7")
    assert parse(event.encode()) == event
    assert (event.source, event.type, event.id, event.data) == ("mine", "my.line", "7", None)
    assert decode(b"[1]", 3, source="mine", type="my.line").source == "mine"


def test_flow_work_names_itself_as_source_of_plain_values(run):
    _, out, _ = run("flow-work", "tests.workers:Echo", input=b"[1]\n")
    event = parse(out)
    assert (event.source, event.type) == ("flow-work", "flow.stdin.line")
