"""flow-tee: an event is done once every branch has done it; files get replayable copies."""

import json
import os
import socket
import subprocess

import pytest

from flowtools.ack.records import with_ackto
from flowtools.ack.sender import AckSender
from flowtools.event import Event
from tests.acks import Receiver
from tests.running import SECONDS, until
from tests.stomp_servers import Lines


def line(number, **attributes):
    return Event("t", number, source="s", id=str(number), **attributes).encode()


@pytest.fixture
def receiver(tmp_path):
    with Receiver(tmp_path / "s") as made:
        yield made


@pytest.fixture
def pipe():
    """A pipe like that of a process substitution: its path, and its lines."""
    reading, writing = os.pipe()
    out = os.fdopen(reading, "rb")
    path = f"/proc/{os.getpid()}/fd/{writing}"
    yield path, writing, out
    out.close()


def teed(start, receiver, *words, numbers=(1, 2)):
    process = start("flow-tee", *words, stdin=subprocess.PIPE)
    for number in numbers:
        process.stdin.write(line(number, ackto=receiver.ackto(f"e.{number}")))
    process.stdin.flush()
    return process


def settle(*acktos, sender=None, refuse=False):
    used = sender or AckSender()
    for each in acktos:
        (used.nack if refuse else used.ack)(each)
    if sender is None:
        used.close()


def ackto(text):
    return json.loads(text)["ackto"]


def test_an_event_is_done_once_both_branches_have_done_it(start, receiver, pipe):
    path, writing, out = pipe
    process = teed(start, receiver, path)
    stdout, other = Lines(process.stdout), Lines(out)
    first, second = ackto(stdout.next()), ackto(stdout.next())
    theirs = [ackto(other.next()) for _ in range(2)]
    assert len({first, second, *theirs}) == 4
    settle(first, second)
    receiver.settimeout(0.3)
    with pytest.raises(TimeoutError):
        receiver.recv()
    receiver.settimeout(SECONDS)
    settle(theirs[1])
    assert receiver.lines(1) == ["e.2 ack"]
    settle(theirs[0], refuse=True)
    assert receiver.lines(1) == ["e.1 nack"]
    process.stdin.close()
    assert process.wait(SECONDS) == 0
    receiver.until_gone()
    assert receiver.byes == 1
    os.close(writing)


def test_a_file_gets_replayable_events_and_only_stdout_has_the_duty(start, receiver, tmp_path):
    (tmp_path / "kept").write_text("before\n")
    process = teed(start, receiver, "-a", "kept")
    stdout = Lines(process.stdout)
    carried = [ackto(stdout.next()) for _ in range(2)]
    assert carried == [receiver.ackto("e.1"), receiver.ackto("e.2")]
    kept = (tmp_path / "kept").read_bytes().splitlines()
    assert kept[0] == b"before"
    assert [json.loads(each)["data"] for each in kept[1:]] == [1, 2]
    assert all("ackto" not in json.loads(each) for each in kept[1:])
    process.stdin.close()
    assert process.wait(SECONDS) == 0


def test_an_event_written_only_to_files_is_acknowledged(start, receiver, tmp_path):
    with (tmp_path / "out").open("wb") as out:
        process = start("flow-tee", "kept", stdin=subprocess.PIPE, stdout=out)
        process.stdin.write(line(1, ackto=receiver.ackto("e.1")))
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    assert receiver.lines(1) == ["e.1 ack"]
    assert (tmp_path / "out").read_bytes() == (tmp_path / "kept").read_bytes()


@pytest.mark.parametrize("tolerate", [False, True])
def test_a_branch_with_a_closed_reader_is_an_error_without_tolerate(
    start, receiver, pipe, tolerate
):
    path, writing, out = pipe
    process = teed(start, receiver, *(["--tolerate"] if tolerate else []), path)
    stdout = Lines(process.stdout)
    first = [ackto(stdout.next()) for _ in range(2)]
    out.close()
    os.close(writing)
    if tolerate:
        assert b"has gone; continuing without it" in process.stderr.readline()
        process.stdin.write(line(3, ackto=receiver.ackto("e.3")))
        process.stdin.flush()
        assert ackto(stdout.next()) == receiver.ackto("e.3")
        process.kill()
    else:
        assert process.wait(SECONDS) == 1
        assert b"--tolerate continues without it" in process.stderr.read()
    settle(*first)  # These come again: the other copy of each was never settled.
    assert [each for each in receiver.until_gone() if each != "e.3 ack"] == []
    assert receiver.byes == 0


def test_a_closed_stdout_ends_the_command_quietly(start, receiver, tmp_path):
    process = teed(start, receiver, "kept")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(SECONDS) == -13
    assert process.stderr.read() == b""


def test_with_tolerate_the_command_ends_when_only_a_file_is_left(start, receiver, tmp_path):
    process = teed(start, receiver, "--tolerate", "kept")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(SECONDS) == -13
    assert b"has gone; continuing without it" in process.stderr.read()


def test_lines_without_ackto_pass_byte_for_byte_and_too_long_ones_are_rejected(
    run, receiver, tmp_path
):
    plain = b'{"a": 1.10}\r\nno json\n\n' + line(1)
    long = with_ackto(line("x" * 3000), receiver.ackto("e.7"))
    status, out, err = run("flow-tee", "--max-line", 2000, "kept", input=plain + long)
    assert (status, out) == (1, plain.replace(b"\r", b""))
    assert (tmp_path / "kept").read_bytes() == out
    assert "line 5: longer than --max-line allows" in err
    assert receiver.lines(1)[0].startswith('e.7 nack {"error":"longer than --max-line allows: ')


def test_what_a_tolerated_branch_had_not_settled_is_delivered_again(start, receiver, pipe):
    path, writing, out = pipe
    process = teed(start, receiver, "--tolerate", path)
    stdout = Lines(process.stdout)
    settle(*[ackto(stdout.next()) for _ in range(2)])
    out.close()  # It has not connected to the relay.
    os.close(writing)
    process.stdin.close()
    assert receiver.until_gone() == []
    assert (receiver.byes, process.wait(SECONDS)) == (0, 0)
    assert b"2 lines count as not done" in process.stderr.read()


def test_a_malformed_ackto_is_an_error_of_its_line_alone(run, receiver, tmp_path):
    first, second = line(1), line(2)
    bad, good = with_ackto(first, "nonsense"), with_ackto(second, receiver.ackto("e.2"))
    with (tmp_path / "out").open("wb") as out:  # No branch carries the duty.
        status, _, err = run("flow-tee", "kept", input=bad + good, stdout=out)
    assert (status, err.count("\n")) == (0, 1)
    assert "line 1: cannot acknowledge 'nonsense'" in err
    assert (tmp_path / "kept").read_bytes() == first + second
    assert receiver.lines(1) == ["e.2 ack"]


def test_a_line_that_is_too_long_fails_alone_though_its_ackto_is_malformed(run):
    long, other = with_ackto(line("x" * 3000), "unix:nonsense"), line(2)
    status, out, err = run("flow-tee", "--max-line", 2000, "kept", input=long + other)
    assert (status, out) == (1, other)
    assert "line 1: longer than --max-line allows" in err
    assert "1 of 2 lines were not copied" in err


def test_an_unwritable_file_is_reported(run):
    status, _, err = run("flow-tee", "no/such/file")
    assert (status, "cannot write 'no/such/file': No such file or directory" in err) == (1, True)


def test_a_socket_as_file_is_an_error_and_not_waited_for(run, tmp_path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "s"))
        status, _, err = run("flow-tee", "s")
    assert (status, "cannot write 's': No such device or address" in err) == (1, True)


def test_opening_a_named_pipe_waits_until_a_stop(start, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    process = start("flow-tee", "fifo", stdin=subprocess.PIPE)
    process.stdin.write(line(1))
    process.stdin.flush()
    with (tmp_path / "fifo").open("rb") as fifo:
        assert json.loads(fifo.readline())["data"] == 1
    until(lambda: process.poll() is not None)
    process = start("flow-tee", "fifo", stdin=subprocess.PIPE)
    process.terminate()
    assert process.wait(SECONDS) == -15
