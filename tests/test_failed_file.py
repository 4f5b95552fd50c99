"""The failed file: its lines are replayed as the original events."""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtools.core.toolong import TooLong
from flowtools.errors import ConfigurationError
from flowtools.event import Event, EventError, decode
from flowtools.pool.failed import FailedFile, FailedFileError, replayable
from flowtools.pool.outcome import Attempt, Outcome
from tests.conftest import KILLS, environment

AT = '"flowfailedat":"2025-10-09T08:53:20.000Z"'
EVENT = b'{ "specversion":"1.0", "id":"i1","source":"s" ,"type":"t","data":{"n": 1.50e3}}'


def failed(line, error="ValueError: no", number=7, attempt=3):
    try:
        event = decode(line, number)
    except EventError as refused:
        return Attempt(None, line, number, Outcome.INVALID, 1, True, 0.0, 0.0, 0.0, str(refused))
    return Attempt(
        event, line, number, Outcome.FAILED, attempt, True, 0.1, 0.1, 1760000000.0, error
    )


def again(written, **changes):
    """The line that a failed replay of `written` writes."""
    return replayable(failed(written.removesuffix(b"\n"), **changes))


def without_ours(event):
    ours = ("flowerror", "flowattempts", "flowfailedat", "ackto")
    return {name: value for name, value in event.attributes.items() if name not in ours}


def test_a_failed_event_keeps_its_bytes_and_gets_error_attempts_and_time():
    assert replayable(failed(EVENT)) == (
        EVENT[:-1] + f',"flowerror":"ValueError: no","flowattempts":3,{AT}}}\n'.encode()
    )


def test_failing_again_replaces_the_error():
    assert again(replayable(failed(EVENT)), error="other", attempt=1) == (
        EVENT[:-1] + f',"flowerror":"other","flowattempts":1,{AT}}}\n'.encode()
    )


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'{"ackto":"unix:/x#1.2",%b}', b"{%b,"),
        (b'{%b, "ackto" : "unix:/x#1.2" }', b"{%b,"),
        (b'{"\\u0061ckto":"u", %b}', b"{ %b,"),
        (b'{"ackto":"}\\"{[",%b}', b"{%b,"),
    ],
)
def test_only_the_ackto_is_removed(line, kept):
    rest = (
        b'"specversion":"1.0","id":"i","source":"s","type":"t",'
        b'"data":[1.10,{"ackto":[{"ackto":2}],"b":["}"]}],"s":",{\\"ackto\\""'
    )
    written = replayable(failed(line % rest))
    assert written.startswith(kept % rest + b'"flowerror"')
    added = f'{{"flowerror":"ValueError: no","flowattempts":3,{AT}}}'
    expected = orjson.loads(line % rest) | orjson.loads(added)
    del expected["ackto"]
    assert orjson.loads(written) == expected


@pytest.mark.parametrize("line", [b"null", b"[1, 2.50]", b' {"a": 1} \r', b'"text"', b"17", b"{}"])
def test_any_other_json_value_is_replayed_as_the_same_event(line):
    first = failed(line)
    written = replayable(first)
    assert without_ours(decode(written, 1)) == first.event.attributes
    assert line.strip() in written
    assert without_ours(decode(again(written), 99)) == first.event.attributes


@pytest.mark.parametrize(
    ("line", "member", "text"),
    [
        (b'{"a": tru}', "flowline", '{"a": tru}'),
        (b"\xff\xfe", "flowline64", "//4="),
        (b'{"a":123456789012345678901234567890}', "flowline", None),
    ],
)
def test_an_unreadable_line_is_kept_and_refused_again(line, member, text):
    first = failed(line)
    written = replayable(first)
    assert orjson.loads(written)[member] == (text or line.decode())
    assert orjson.loads(written)["flowerror"] == first.error
    with pytest.raises(EventError):
        decode(written)
    assert again(written) == written


def test_a_malformed_event_keeps_its_bytes():
    line = b'{"specversion":"1.0","id":"i"}'
    written = replayable(failed(line))
    assert written.startswith(line[:-1] + b',"flowerror":"not a CloudEvents')
    with pytest.raises(EventError, match="it has no 'source'"):
        decode(written)


def test_the_beginning_of_a_too_long_line_is_kept():
    attempt = Attempt(None, TooLong(b'{"a'), 1, Outcome.INVALID, 1, True, 0.0, 0.0, 0.0, "too long")
    assert orjson.loads(replayable(attempt))["flowline"] == '{"a'


def test_an_error_with_invalid_unicode_can_be_kept():
    assert (
        orjson.loads(replayable(failed(EVENT, "no file 'a\udcff'")))["flowerror"]
        == r"no file 'a\udcff'"
    )


def test_an_event_that_was_not_tried_is_marked_cancelled():
    attempt = failed(EVENT)._replace(outcome=Outcome.CANCELLED, error=None)
    assert orjson.loads(replayable(attempt))["flowerror"] == "cancelled"


TEXT = st.text(st.characters(codec="utf-8"))
NUMBER = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(data=JSON, ackto=st.none() | TEXT, is_event=st.booleans())
def test_an_event_with_any_data_is_replayed_unchanged(data, ackto, is_event):
    value = Event("t", data, source="s", ackto=ackto).attributes if is_event else data
    line = orjson.dumps(value)
    first = failed(line)
    once = replayable(first)
    for written in (once, again(once)):
        assert written.count(b"\n") == 1
        replayed = decode(written, 1)
        assert without_ours(replayed) == without_ours(first.event)
        assert "ackto" not in replayed.attributes


def test_a_line_goes_to_the_file_that_has_replaced_the_first(tmp_path):
    path, new = tmp_path / "f", tmp_path / "new"
    with FailedFile(path) as file:
        file.write(failed(EVENT))
        new.write_bytes(b"")
        new.rename(path)
        file.write(failed(EVENT, "again"))
    assert path.read_bytes() == replayable(failed(EVENT, "again"))


def test_a_line_waits_for_a_rewrite_and_goes_to_the_new_file(tmp_path):
    path, new = tmp_path / "f", tmp_path / "new"
    with FailedFile(path) as file, path.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        writer = Thread(target=file.write, args=(failed(EVENT),))
        writer.start()
        new.write_bytes(b"")
        new.rename(path)
        fcntl.flock(old, fcntl.LOCK_UN)
        writer.join()
    assert path.read_bytes() == replayable(failed(EVENT))


def test_lines_go_to_the_opened_file_if_its_path_is_gone(tmp_path):
    path, old = tmp_path / "f", tmp_path / "old"
    with FailedFile(path) as file:
        path.rename(old)
        file.write(failed(EVENT))
    assert (old.read_bytes(), path.exists()) == (replayable(failed(EVENT)), False)


def test_lines_are_appended(tmp_path):
    for _ in range(2):
        with FailedFile(tmp_path / "f") as file:
            file.write(failed(EVENT))
    assert (tmp_path / "f").read_bytes() == replayable(failed(EVENT)) * 2


def test_a_full_disk_is_an_error_that_names_the_file():
    with (
        FailedFile(Path("/dev/full")) as file,
        pytest.raises(FailedFileError, match="cannot write failed file '/dev/full': No space left"),
    ):
        file.write(failed(EVENT))


def test_a_failed_file_that_cannot_be_opened_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"cannot open failed file .*: Is a directory"):
        FailedFile(tmp_path)


def test_a_file_with_other_content_is_refused_and_left_unchanged(tmp_path):
    (tmp_path / "mine.py").write_text("import os\n")
    with pytest.raises(ConfigurationError, match=r"cannot open failed file .*: it holds something"):
        FailedFile(tmp_path / "mine.py")
    assert (tmp_path / "mine.py").read_text() == "import os\n"


def test_after_reopening_lines_go_to_a_new_file(tmp_path):
    with FailedFile(tmp_path / "f") as file:
        (tmp_path / "f").rename(tmp_path / "taken")
        file.reopen()
        file.write(failed(EVENT))
    assert (tmp_path / "taken").read_bytes() == b""
    assert (tmp_path / "f").read_bytes() == replayable(failed(EVENT))


WRITER = """
import os, sys
from pathlib import Path
from flowtools.pool.failed import FailedFile
from tests.test_failed_file import EVENT, failed
file = FailedFile(Path(sys.argv[1]))
for number in range(10**9):
    file.write(failed(EVENT.replace(b"i1", b"%d" % number)))
    os.write(1, b"%d\\n" % number)
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_line_per_completed_event(tmp_path):
    for turn in range(KILLS):
        path = tmp_path / str(turn)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            env=environment(PYTHONPATH="."),
            stdout=subprocess.PIPE,
        )
        last = [process.stdout.readline() for _ in range(100)][-1]
        process.send_signal(signal.SIGKILL)
        completed = int([last, *process.stdout][-1])
        process.stdout.close()
        process.wait()
        # Text after the last newline is a line torn by the kill: not completed.
        whole = path.read_bytes().split(b"\n")[:-1]
        kept = [int(decode(line).id) for line in whole]
        assert kept == list(range(len(kept)))
        assert len(kept) > completed
