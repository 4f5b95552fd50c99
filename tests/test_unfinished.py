"""A line that is cut off because its writer had to stop: it is never an event, nor acknowledged."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from flowtools.ack.records import take_ackto, with_ackto
from flowtools.core.event import EventError, parse
from flowtools.core.lines import LineReader
from flowtools.core.pipe import unread
from flowtools.core.unfinished import Unfinished
from flowtools.core.wait import Stop
from flowtools.event import Event
from tests.acks import Receiver
from tests.queues import LOGIN, Queue
from tests.running import until
from tests.stomp_servers import SECONDS

LARGE = 200_000
"""Size of an event in bytes: more than a pipe holds, which is 64 KiB."""

CUT = "stopped before the reader accepted the last lines, the first of which is cut off"


def large(number, **attributes):
    return Event("t", "x" * LARGE, source="s", id=str(number), **attributes).encode()


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "s") as made:
        yield made


@pytest.fixture
def queue():
    made = Queue("/queue/jobs")
    yield made
    made.close()


def stopped_within_a_line(process):
    """Send SIGTERM once the pipe is full; return all that was written, and the messages."""
    until(lambda: unread(process.stdout.fileno()) >= 65536)
    process.terminate()
    assert process.wait(SECONDS) == -signal.SIGTERM
    return process.stdout.read(), process.stderr.read().decode()


@pytest.mark.parametrize("command", [("flow-jq", "."), ("flow-tee", "kept")])
def test_a_filter_says_that_a_line_is_cut_off_and_the_next_command_refuses_it(
    start, run, receiver, command
):
    process = start(*command, "--drain", "0.1", stdin=subprocess.PIPE)
    process.stdin.write(large(1, ackto=receiver.ackto("e.1")))
    process.stdin.flush()
    out, err = stopped_within_a_line(process)
    assert not out.endswith(b"\n")
    assert f"{CUT}: those from line 1 of the input on may be missing" in err
    status, _, err = run("flow-work", "tests.workers:Echo", input=out)
    assert (status, "the input ends within this line" in err) == (1, True)
    assert receiver.until_gone() == []  # From the filter alone, which has connected.
    assert receiver.byes == 0


def test_a_source_says_that_a_line_is_cut_off_and_the_message_stays(start, run, queue):
    queue.put(b"x" * LARGE)
    process = start("flow-listen-stomp", "--drain", "0.1", queue.url, env=LOGIN)
    out, err = stopped_within_a_line(process)
    assert CUT in err
    assert run("flow-work", "tests.workers:Echo", input=out)[0] == 1
    until(lambda: len(queue.waiting()) == 1)


def test_flow_stdin_says_that_a_line_is_cut_off(start):
    process = start("flow-stdin", "--drain", "0.1", stdin=subprocess.PIPE)
    process.stdin.write(b"x" * LARGE + b"\n")
    process.stdin.flush()
    assert CUT in stopped_within_a_line(process)[1]


INSIDE = with_ackto(b'{"specversion":"1.0","id":"2","source":"s","type":"t"}', "unix:/s#e.2")
TORN = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + INSIDE.strip()
"""The beginning of an event whose data is another event, with the `ackto` of that one."""


@pytest.mark.parametrize(
    "command",
    [
        ("flow-work", "tests.workers:Echo"),
        ("flow-work", "--pass", "tests.workers:Echo"),
        ("flow-jq", "."),
        ("flow-tee", "kept"),
        ("flow-ack",),
    ],
    ids=" ".join,
)
def test_no_command_acknowledges_an_event_within_a_line_that_is_cut_off(
    run, receiver, tmp_path, command
):
    torn = TORN.replace(b"unix:/s#", receiver.ackto("").encode())
    whole = Event("t", 1, source="s", id="0", ackto=receiver.ackto("e.0")).encode()
    with (tmp_path / "out").open("wb") as out:  # A file: flow-tee acknowledges what it has written.
        run(*command, input=whole + torn, stdout=out)
    said = receiver.until_gone()
    assert [each for each in said if each.startswith("e.2")] == []


@pytest.mark.parametrize("options", [[], ["--raw"]])
def test_flow_send_sends_no_line_that_is_cut_off(run, queue, options):
    status, _, err = run("flow-send", *options, queue.url, input=b"{}\n" + TORN, env=LOGIN)
    assert (status, "line 2: not JSON" in err) == (1, True)
    assert len(queue.waiting()) == 1


def test_flow_tee_leaves_a_line_that_is_cut_off_as_it_is(run, tmp_path):
    status, out, err = run("flow-tee", "kept", input=TORN)
    assert (status, out, (tmp_path / "kept").read_bytes()) == (0, TORN, TORN)
    assert "line 1: the input ends within it, so it is not an event" in err


@pytest.mark.parametrize("text", [b"text", b'{"a": 1}', b"[1, 2"])
def test_other_last_lines_need_no_newline(run, text):
    assert run("flow-tee", "kept", input=text) == (0, text + b"\n", "")


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
def test_jq_reports_a_line_that_is_cut_off(shell, tmp_path):
    (tmp_path / "torn").write_bytes(TORN)
    status, out, err = shell("jq . <torn")
    assert (status != 0, out) == (True, b"")
    assert "Unfinished" in err


def test_only_the_end_of_the_input_makes_a_line_unfinished():
    reading, writing = os.pipe()
    stop = Stop()
    os.write(writing, TORN[:80])
    reader = LineReader(reading, stop)
    assert reader.read() == []
    os.write(writing, TORN[80:])
    assert reader.read() == []
    os.close(writing)
    (line,) = reader.read()
    assert (type(line), line, take_ackto(line)) == (Unfinished, TORN, (TORN, None))
    with pytest.raises(EventError, match="the input ends within this line"):
        parse(line)
    os.close(reading)
    stop.close()


def test_a_line_too_long_that_is_cut_off_rejects_nothing(run, receiver):
    torn = json.dumps({"specversion": "1.0", "data": "x" * 3000})[:-1].encode()
    torn += b',"inner":' + INSIDE.strip().replace(b"unix:/s#", receiver.ackto("").encode())
    seen = Event("t", 1, source="s", id="0", ackto=receiver.ackto("e.0")).encode()
    run("flow-work", "--max-line", 2000, "tests.workers:Echo", input=seen + torn)
    assert [each for each in receiver.until_gone() if each.startswith("e.2")] == []
