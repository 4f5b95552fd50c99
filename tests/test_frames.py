"""STOMP frames: splitting, escaping, and data that is not STOMP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.errors import ProtocolError
from flowtools.stomp.frames import MAX_HEAD, Frame, FrameParser, encode_frame


def parser(version="1.2"):
    made = FrameParser()
    made.version = version
    return made


def test_an_encoded_frame_is_parsed_unchanged():
    headers = {"destination": "/queue/a", "a:b\\c": "x\ny\rz:", "content-length": "3"}
    data = encode_frame("MESSAGE", headers, b"a\0b")
    assert parser().feed(data) == [Frame(headers, b"a\0b")]


@given(
    st.lists(st.tuples(st.dictionaries(st.text(min_size=1), st.text()), st.binary()), max_size=5),
    st.integers(1, 40),
)
def test_frames_are_parsed_whatever_the_chunks(messages, step):
    frames = [
        Frame(
            {k: v for k, v in headers.items() if k != "content-length"}
            | {"content-length": str(len(body))},
            body,
        )
        for headers, body in messages
    ]
    data = b"".join(b"\n\r\n" + encode_frame("MESSAGE", f.headers, f.body) for f in frames)
    reader = parser()
    found = []
    for start in range(0, len(data), step):
        found += reader.feed(data[start : start + step])
    assert found == frames


def test_a_frame_after_two_heart_beats_is_not_lost():
    assert parser().feed(b"\n\nMESSAGE\na:1\n\nx\0\n\n\nRECEIPT\nreceipt-id:1\n\n\0\n") == [
        Frame({"a": "1"}, b"x"),
        Frame({"receipt-id": "1"}, b"", "RECEIPT"),
    ]


def test_lines_may_end_with_carriage_return_and_line_feed():
    data = b"MESSAGE\r\na:1\r\ncontent-length:4\r\n\r\n\n\n\0\n\0"
    assert parser().feed(data) == [Frame({"a": "1", "content-length": "4"}, b"\n\n\0\n")]


def test_line_ends_may_differ_between_frames():
    data = b"MESSAGE\na:1\n\nx\r\n\r\ny\0MESSAGE\r\nb:2\r\n\r\n\n\nz\0MESSAGE\nc:3\n\n\0"
    expected = [
        Frame({"a": "1"}, b"x\r\n\r\ny"),
        Frame({"b": "2"}, b"\n\nz"),
        Frame({"c": "3"}, b""),
    ]
    assert parser().feed(data) == expected
    reader = parser()
    pieces = [data[index : index + 1] for index in range(len(data))]
    assert [frame for piece in pieces for frame in reader.feed(piece)] == expected


@pytest.mark.parametrize("length", ["", "many", "-5", "2.0", "0x1", "\u0663", "9" * 19, "1" * 5000])
def test_a_malformed_content_length_is_refused(length):
    with pytest.raises(ProtocolError):
        parser().feed(encode_frame("MESSAGE", {"content-length": length}, b"abc"))


def test_space_around_a_content_length_is_ignored():
    frame = parser().feed(b"MESSAGE\ncontent-length: 3\t\n\na\0b\0")[0]
    assert frame.body == b"a\0b"


def test_a_long_body_without_a_length_ends_at_its_nul():
    reader = parser()
    chunks = [b"MESSAGE\n\n", *[b"x" * 1000] * 50, b"y\0MESSAGE\n\nz\0"]
    found = [frame for chunk in chunks for frame in reader.feed(chunk)]
    assert [frame.body for frame in found] == [b"x" * 50000 + b"y", b"z"]


def test_stomp_1_0_has_no_escapes():
    assert parser("1.0").feed(b"MESSAGE\npath:C\\new\n\n\0")[0].headers == {"path": "C\\new"}
    assert encode_frame("SEND", {"a": "b:c\\d\ne"}, version="1.0") == b"SEND\na:b:c\\d e\n\n\0"


@pytest.mark.parametrize(
    ("version", "header"),
    [
        ("1.2", "a:x\\ty"),
        ("1.1", "a:x\\ty"),
        ("1.1", "a:x\\ry"),
        ("1.2", "a\\x:y"),
        ("1.2", "a:x\\"),
    ],
)
def test_an_undefined_escape_is_a_protocol_error(version, header):
    with pytest.raises(ProtocolError, match="unknown escape"):
        parser(version).feed(f"MESSAGE\n{header}\n\n\0".encode())


def test_an_error_frame_is_read_despite_undefined_escapes():
    data = b"ERROR\nmessage:C:\\temp\\c is full\nno colon\n\nwhy\0"
    (frame,) = parser("1.2").feed(data)
    assert (frame.headers["message"], frame.body) == ("C:\\temp: is full", b"why")


@pytest.mark.parametrize("header", ["no colon", ":no name"])
def test_a_header_without_name_or_colon_is_a_protocol_error_since_1_1(header):
    data = f"MESSAGE\n{header}\n\n\0".encode()
    for version in ("1.1", "1.2"):
        with pytest.raises(ProtocolError, match=f"a header of a MESSAGE frame is '{header}'"):
            parser(version).feed(data)
    assert len(parser("1.0").feed(data)) == 1


def test_the_first_of_repeated_headers_counts():
    assert parser().feed(b"MESSAGE\na:1\na:2\n\n\0")[0].headers == {"a": "1"}


def test_the_headers_of_connect_are_not_escaped():
    assert encode_frame("CONNECT", {"passcode": "a:b\\"}) == b"CONNECT\npasscode:a:b\\\n\n\0"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"HTTP/1.1 400 Bad Request\r\nA: b\r\n\r\n<html>\0",
        b"\x16\x03\x01\x02\x00 garbage that is long enough",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"message\n\n\0",
        b"MESSAGE\ncontent-length:2\n\nabcd\0",
        b"MESSAGE\n" + b"a:b\n" * (MAX_HEAD // 4),
    ],
)
def test_data_that_is_not_stomp_is_a_protocol_error(garbage):
    with pytest.raises(ProtocolError, match="not STOMP"):
        parser().feed(garbage)


def test_a_protocol_error_is_raised_as_early_as_possible():
    with pytest.raises(ProtocolError, match=r"SSH-2\.0-OpenSSH"):
        parser().feed(b"SSH-2.0-OpenSSH\r\n")
