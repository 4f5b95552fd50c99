"""How commands end when their reader stalls or leaves, and at a signal: every loss is reported."""

import json
import os
import re
import signal
import time
from contextlib import suppress
from subprocess import PIPE

import pytest

from tests.running import SECONDS, until

MOD = """
import time
from flowtools.source.interval import Interval
from flowtools.source.local import STDIN

class Slow:
    SOURCE = STDIN
    def start(self, event):
        time.sleep(0.01)

class Held:
    SOURCE = STDIN
    def start(self, event):
        time.sleep(60)

class Quiet:
    def start(self, event):
        return None

class Echo:
    def start(self, event):
        return event

class Big:
    def start(self, event):
        return "x" * 200_000

class Many:
    def __iter__(self):
        number = 0
        while True:
            number += 1
            yield number

class Numbered:
    def run(self, emit):
        for number in range(100_000):
            emit(number)
    def done(self, event, ok):
        pass

class Gives:
    SOURCE = Many
    def start(self, event):
        time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def mod(tmp_path):
    (tmp_path / "mod.py").write_text(MOD)


def is_full(fd):
    """Whether the pipe that `fd` reads is full, so that its writer waits."""
    held = in_pipe(fd)
    time.sleep(0.5 if held > 50_000 else 0)
    return 50_000 < held == in_pipe(fd)


def in_pipe(fd):
    """The number of bytes in a pipe."""
    import fcntl
    import struct
    import termios

    return struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]


STALLED = {
    "flow-stdin --drain 0.5": "lines, from line",
    "flow-interval 0.001": None,
    "flow-watch many --existing --settle 0": "before the reader accepted the last lines",
    "flow-source mod:Many --grace 1": "before the reader accepted the last lines",
    "flow-work mod:Echo --drain 0.5 --grace 0.5": None,
    "flow-view --tee --follow": None,
    "flow-tee copy --drain 0.5": "of the input on may be missing",
    "flow-jq . --drain 0.5": "of the input on may be missing",
}


@pytest.mark.parametrize("line", STALLED)
def test_a_signal_ends_a_command_whose_reader_is_stalled(start, tmp_path, line):
    many = tmp_path / "many"
    many.mkdir()
    if "many" in line:
        for number in range(400):
            (many / f"{number}{'x' * 200}").touch()
    with (tmp_path / "input").open("wb") as file:
        file.writelines(b"%d\n" % number for number in range(50_000))
    name, *args = line.split()
    with (tmp_path / "input").open("rb") as input, (tmp_path / "err").open("wb") as err:
        process = start(name, *args, stdin=input, stderr=err)
    if "interval" not in line:
        until(lambda: is_full(process.stdout.fileno()))
    else:
        until(lambda: os.read(process.stdout.fileno(), 10))
    process.terminate()
    began = time.monotonic()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    assert time.monotonic() - began < 20
    if STALLED[line]:
        assert STALLED[line] in (tmp_path / "err").read_text()


def test_flow_stdin_reports_the_first_line_that_was_not_delivered(start, tmp_path):
    (tmp_path / "input").write_bytes(b"".join(b"%d\n" % number for number in range(1, 50_001)))
    with (tmp_path / "input").open("rb") as input, (tmp_path / "err").open("wb") as err:
        process = start("flow-stdin", "--drain", "0.2", stdin=input, stderr=err)
    until(lambda: is_full(process.stdout.fileno()))
    process.terminate()
    process.wait(timeout=SECONDS)
    taken = [json.loads(line)["data"] for line in process.stdout.read().splitlines()]
    found = re.search(r"from line (\d+) of the input on", (tmp_path / "err").read_text())
    assert taken == [str(number) for number in range(1, int(found[1]))]


def test_flow_stdin_delivers_what_it_has_read_to_a_reader_that_resumes(start, tmp_path):
    (tmp_path / "input").write_bytes(b"".join(b"%d\n" % number for number in range(1, 50_001)))
    with (tmp_path / "input").open("rb") as input, (tmp_path / "err").open("wb") as err:
        process = start("flow-stdin", stdin=input, stderr=err)
    until(lambda: is_full(process.stdout.fileno()))
    process.terminate()
    taken = process.stdout.read().splitlines()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    last = re.search(r"stopped after line (\d+) of", (tmp_path / "err").read_text())
    assert len(taken) == int(last[1]) < 50_000
    assert json.loads(taken[-1])["data"] == last[1]


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_flow_work_notices_a_closed_reader_without_writing(start, isolation):
    process = start("flow-work", "mod:Quiet", "--isolation", isolation, stdin=PIPE)
    process.stdin.write(b"1\n")
    process.stdin.flush()
    process.stdout.close()
    assert process.wait(timeout=SECONDS) == -signal.SIGPIPE


def test_a_pipeline_ends_if_its_last_command_is_killed(shell):
    line = (
        "flow-source --ack worker --prefetch 50 mod:Numbered | flow-work --pass mod:Quiet"
        " | { flow-ack & echo $! >pid; wait $!; }; echo ${PIPESTATUS[*]}"
    )
    killer = "{ until [ -s pid ]; do sleep 0.05; done; sleep 1; kill -9 $(cat pid); } & "
    status, out, _ = shell(killer + line, timeout=SECONDS)
    assert status == 0
    assert out.split()[-1] == b"137"
    assert out.split()[-2] == b"141"


def lines_of(*paths):
    found = set()
    for path in paths:
        if path.exists():
            found |= {json.loads(line)["data"] for line in path.read_bytes().splitlines()}
    return found


def done_in(log):
    with suppress(FileNotFoundError):
        return {
            entry["id"]
            for entry in map(json.loads, log.read_bytes().splitlines())
            if entry["outcome"] == "done"
        }
    return set()


def ids_in(path):
    return {json.loads(line)["id"] for line in path.read_bytes().splitlines()}


@pytest.mark.parametrize("how", ["sigterm", "halt"])
def test_flow_run_loses_no_line_of_standard_input(start, tmp_path, how):
    log, failed = tmp_path / "log", tmp_path / "failed"
    args = ["--halt", "soon,done=40"] if how == "halt" else []
    process = start(
        *("flow-run", "mod:Slow", "--joblog", log, "--failed", failed, "--drain", "0.3", *args),
        stdin=PIPE,
    )
    process.stdin.write(b"".join(b"%d\n" % number for number in range(1000)))
    process.stdin.flush()
    if how == "sigterm":
        until(lambda: len(done_in(log)) >= 40)
        process.terminate()
    assert process.wait(timeout=SECONDS) in (-signal.SIGTERM, 0)
    done, kept = done_in(log), ids_in(failed)
    assert len(done) >= 40
    assert not done & kept
    assert len(done | kept) == 1000


def test_without_a_failed_file_flow_run_reports_how_many_lines_are_unprocessed(start, tmp_path):
    log = tmp_path / "log"
    process = start("flow-run", "mod:Slow", "--joblog", log, "--drain", "0", stdin=PIPE)
    process.stdin.write(b"".join(b"%d\n" % number for number in range(1000)))
    process.stdin.flush()
    until(lambda: len(done_in(log)) >= 40)
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    found = re.search(rb"(\d+) lines? (?:was|were) read but not processed", err)
    assert int(found[1]) + len(done_in(log)) == 1000


def test_events_from_a_custom_source_are_kept_at_a_stop(start, tmp_path):
    log, failed = tmp_path / "log", tmp_path / "failed"
    args = ("--joblog", log, "--failed", failed, "--drain", "0.2", "--grace", "1")
    process = start("flow-run", "mod:Gives", *args)
    until(lambda: len(done_in(log)) >= 20)
    process.terminate()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    data = {json.loads(line)["data"] for line in failed.read_bytes().splitlines()}
    first = min(data)
    # Without a gap from the first unprocessed value to the last that was given.
    assert data == set(range(first, max(data) + 1))
    assert first <= len(done_in(log)) + 1


def test_a_pair_of_commands_stopped_together_loses_no_line(start, tmp_path):
    log, failed = tmp_path / "log", tmp_path / "failed"
    reading, writing = os.pipe()
    with (tmp_path / "input").open("wb") as file:
        file.writelines(b"%d\n" % number for number in range(1, 20_001))
    with (tmp_path / "input").open("rb") as input, (tmp_path / "err").open("wb") as err:
        source = start("flow-stdin", stdin=input, stdout=writing, stderr=err)
    pool = start(
        *("flow-work", "mod:Slow", "--joblog", log, "--failed", failed, "--drain", "3"),
        stdin=reading,
    )
    os.close(reading)
    os.close(writing)
    until(lambda: len(done_in(log)) >= 20)
    source.terminate()
    pool.terminate()
    assert pool.wait(timeout=SECONDS) == -signal.SIGTERM
    assert source.wait(timeout=SECONDS) == -signal.SIGTERM
    last = int(re.search(r"stopped after line (\d+) of", (tmp_path / "err").read_text())[1])
    done, kept = done_in(log), ids_in(failed)
    assert len(done | kept) == last < 20_000


def test_the_unread_rest_of_an_input_file_is_not_copied_to_the_failed_file(start, tmp_path):
    failed, log = tmp_path / "failed", tmp_path / "log"
    (tmp_path / "input").write_bytes(b"".join(b"%d\n" % number for number in range(50_000)))
    with (tmp_path / "input").open("rb") as input:
        process = start(
            *("flow-work", "mod:Slow", "--failed", failed, "--drain", "0", "--joblog", log),
            stdin=input,
        )
    until(lambda: len(done_in(log)) >= 5)
    process.terminate()
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    assert len(ids_in(failed)) < 20_000  # At most a block, and not the whole file.


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_result_too_long_for_the_next_command_fails_its_event(run, tmp_path, isolation):
    failed = tmp_path / "failed"
    args = ("--max-line", "100000", "--isolation", isolation, "--retries", "3", "--failed", failed)
    status, out, err = run("flow-work", "mod:Big", *args, input=b"1\n2\n")
    assert (status, out) == (1, b"")
    assert err.count("the next command refuses more than 100000") == 2
    assert err.count("attempt 1") == 2
    assert len(ids_in(failed)) == 2
    status, out, _ = run("flow-work", "mod:Big", "--max-line", "300000", input=b"1\n")
    assert (status, out.count(b"\n")) == (0, 1)
