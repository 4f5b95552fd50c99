"""--isolation process: several short events handed to a process at once.

Each test writes its Worker into a module of its own and runs flow-work as a process. Events count
as short however long they take, so that every test has series; `patience` is the time after which
flow-work takes back what a process has not begun.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.conftest import environment
from tests.running import SECONDS, finish, freeze, lines, until
from tests.test_isolation import is_gone

FOREVER = 1000

COMMAND = """
import sys
from flowtools.pool import handover, series
handover.SHORT, handover.BUDGET, series.PATIENCE = 60, 6000, float(sys.argv.pop(1))
from flowtools.commands.work import main
sys.argv[0] = 'flow-work'
main()
"""

HEAD = """import os, signal, subprocess, sys, threading, time
from flowtools.worker import Reject, Retry, Unavailable
def note(text):
    file = os.open('notes', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f'{text}\\n'.encode())
    os.close(file)
def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)
class W:
"""


@pytest.fixture
def work(tmp_path):
    """Start flow-work on a Worker W, of which `code` is the body."""
    running = []

    def run(code, *args, patience=0.005, stdout=subprocess.PIPE):
        (tmp_path / "mine.py").write_text(HEAD + code)
        command = [sys.executable, "-c", COMMAND, str(patience), "mine:W", "--isolation", "process"]
        process = subprocess.Popen(
            [*command, *map(str, args)], stdin=subprocess.PIPE, stdout=stdout,
            stderr=subprocess.PIPE, cwd=tmp_path, env=environment(),
        )  # fmt: skip
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def write(process, *values):
    process.stdin.write(lines(*values))
    process.stdin.flush()


def event(name, **attributes):
    return {"specversion": "1.0", "id": name, "source": "s", "type": "t"} | attributes


def records(path):
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def is_waiting(pid):
    """Return whether no thread of a process does anything, as seen ten times."""
    for _ in range(10):
        for path in Path(f"/proc/{pid}/task").glob("*/stat"):
            if path.read_text().rpartition(")")[2].split()[0] != "S":
                return False
        time.sleep(0.01)
    return True


NOTES = """
    def start(self, event):
        note(event.data)
"""


def test_several_events_are_handed_to_a_process_at_once(work, notes, tmp_path):
    code = """
    def start(self, event):
        if event.data == 0:
            note('first')
            wait_for('go')
        note(event.data)
"""
    process = work(code, "--joblog", "log", patience=FOREVER)
    write(process, *range(120))
    until(notes, "the first event")
    until(lambda: is_waiting(process.pid), "an idle pool")
    # Only the process continues, so that what follows was handed over before.
    freeze(process)
    (tmp_path / "go").touch()
    until(lambda: len(notes()) == 1 + 50, "a series")
    time.sleep(0.2)
    assert len(notes()) == 1 + 50
    os.kill(process.pid, signal.SIGCONT)
    assert finish(process) == (0, [], "")
    assert notes()[1:] == [str(number) for number in range(120)]
    assert [each["attempt"] for each in records(tmp_path / "log")] == [1] * 120


HANGS = """
    def start(self, event):
        note(event.data)
        if event.data == 'hang':
            time.sleep(1000)
"""


def test_a_hanging_event_does_not_delay_the_events_behind_it(work, notes, tmp_path):
    process = work(HANGS, "-j", 2, "--timeout", 60, "--joblog", "log")
    write(process, "hang", *range(50))
    until(lambda: len(notes()) == 51, "the fifty other events, while the first hangs")
    assert sorted(notes()) == sorted(["hang", *map(str, range(50))])
    log = tmp_path / "log"
    until(lambda: log.exists() and len(records(log)) == 50, "their records")
    process.terminate()
    process.stdin.close()
    process.wait()
    assert {each["attempt"] for each in records(log)} == {1}


def test_only_the_hanging_event_times_out_and_the_others_are_done_once(work, notes):
    process = work(HANGS, "--timeout", 1)
    status, _, err = finish(process, lines("hang", *range(50)))
    assert status == 1
    assert notes() == ["hang", *map(str, range(50))]
    assert err.count("timeout: not done within 1 s") == 1


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.abort()"])
def test_if_a_process_dies_only_the_event_it_had_begun_fails(work, notes, tmp_path, end):
    code = f"""
    def start(self, event):
        note(event.data)
        if event.data == 20:
            {end}
"""
    process = work(code, "--joblog", "log", patience=FOREVER)
    status, _, err = finish(process, lines(*range(120)))
    assert status == 1
    assert notes() == [str(number) for number in range(120)]
    log = records(tmp_path / "log")
    assert Counter(each["attempt"] for each in log) == {1: 120}
    assert [each["outcome"] for each in log].index("failed") == 20
    assert "1 of 120 events failed" in err


def test_crashing_events_are_retried_and_no_other_runs_twice(work, notes, tmp_path):
    code = """
    def start(self, event):
        note(event.data)
        if event.data % 7 == 0 and not os.path.exists(f'crashed-{event.data}'):
            open(f'crashed-{event.data}', 'w').close()
            os._exit(3)
"""
    process = work(code, "-j", 2, "--retries", 1, "--backoff", 0, "--joblog", "log")
    assert finish(process, lines(*range(150)))[0] == 0
    expected = {str(number): 2 if number % 7 == 0 else 1 for number in range(150)}
    assert Counter(notes()) == expected
    done = [each["id"] for each in records(tmp_path / "log") if each["outcome"] == "done"]
    assert len(set(done)) == len(done) == 150


def test_a_process_killed_from_outside_loses_no_waiting_event(work, notes):
    code = """
    def start(self, event):
        note(f'{event.data} {os.getpid()}')
        if event.data == 'wait':
            wait_for('go')
"""
    process = work(code, "--retries", 1, "--backoff", 0, patience=FOREVER)
    write(process, "wait", *range(60))
    until(notes, "the first event")
    os.kill(int(notes()[0].split()[1]), signal.SIGKILL)
    until(lambda: sum(row.startswith("wait") for row in notes()) == 2, "another attempt")
    os.kill(int([row for row in notes() if row.startswith("wait")][1].split()[1]), signal.SIGKILL)
    assert finish(process)[0] == 1
    assert Counter(row.split()[0] for row in notes()) == {
        "wait": 2, **{str(number): 1 for number in range(60)}
    }  # fmt: skip


def test_a_process_that_stops_within_an_answer_is_ended_by_the_timeout(work, notes, tmp_path):
    code = """
    def start(self, event):
        return 'x' * 200_000 if event.data == 'big' else None

from flowtools.pool import packets
send = packets.send
def send_half(channel, kind, content=b''):
    if len(content) > 100_000:
        channel.send(b'+' + content[:65536])
        note(f'halts {os.getpid()}')
        os.kill(os.getpid(), signal.SIGSTOP)
    else:
        send(channel, kind, content)
packets.send = send_half
"""
    process = work(code, "--joblog", "log", "--timeout", 0.5, "--grace", 1)
    write(process, "big", "good")
    process.stdin.close()
    process.wait()
    ends = [(each["outcome"], each["attempt"]) for each in records(tmp_path / "log")]
    assert ends == [("timeout", 1), ("done", 1)]


def test_an_event_behind_an_unread_go_was_not_begun(work, notes, tmp_path):
    code = """
    def start(self, event):
        if event.data == 'bad':
            raise ValueError
        note(event.data)

from flowtools.pool import packets
send = packets.send
def send_and_stop(channel, kind, content=b''):
    send(channel, kind, content)
    if kind == packets.ERROR:
        note(f'halts {os.getpid()}')
        os.kill(os.getpid(), signal.SIGSTOP)
packets.send = send_and_stop
"""
    process = work(code, "--joblog", "log")
    write(process, "bad", "good")
    log = tmp_path / "log"
    until(lambda: notes() and log.exists() and records(log), "the failure")
    until(lambda: is_waiting(process.pid), "flow-work to wait for the other event")
    os.kill(int(notes()[0].split()[1]), signal.SIGKILL)
    status, _, _ = finish(process)
    assert status == 1
    assert notes()[1:] == ["good"]
    ends = [(each["outcome"], each["attempt"]) for each in records(log)]
    assert ends == [("failed", 1), ("done", 1)]


def test_a_suspended_process_does_not_hold_unread_events(work, notes):
    code = """
    def start(self, event):
        note(f'{event.data} {os.getpid()}')
        if event.data == 'stop':
            os.kill(os.getpid(), signal.SIGSTOP)
"""
    process = work(code, "-j", 2)
    write(process, "stop", *range(50))
    until(lambda: len(notes()) == 51, "the others")
    os.kill(int(next(row for row in notes() if row.startswith("stop")).split()[1]), signal.SIGCONT)
    assert finish(process)[0] == 0
    assert len(notes()) == 51


@pytest.mark.parametrize("threads", [1, 3])
def test_events_of_a_key_keep_their_order_despite_failures_and_crashes(work, notes, threads):
    code = """
    def start(self, event):
        note(event.data)
        key, number = event.data.split()
        if int(number) % 5 == 1 and not os.path.exists(event.data):
            open(event.data, 'w').close()
            if int(number) % 2:
                os._exit(1)
            raise ValueError(number)
"""
    events = [
        event(f"{key}{number}", subject=key, data=f"{key} {number}")
        for number in range(20)
        for key in "abcdef"
    ]
    options = ("-j", threads, "--key", "subject", "--retries", 1, "--backoff", 0)
    assert finish(work(code, *options), lines(*events))[0] == 0
    for key in "abcdef":
        numbers = [int(row.split()[1]) for row in notes() if row.startswith(key)]
        assert numbers == sorted(numbers)
        assert sorted(set(numbers)) == list(range(20))
        assert Counter(numbers) == {n: 2 if n % 5 == 1 else 1 for n in range(20)}


@pytest.mark.parametrize("what", ["Unavailable('down')", "Retry('later', after=0.01)"])
def test_after_a_failure_no_event_begins_before_the_pool_has_seen_it(work, notes, tmp_path, what):
    code = f"""
    def start(self, event):
        note(event.data)
        if event.data == 5 and not os.path.exists('up'):
            raise {what}
"""
    process = work(code, "--backoff", 0.05, patience=FOREVER)
    write(process, *range(60))
    if "Unavailable" in what:
        until(lambda: notes().count("5") >= 3, "some probes")
        assert set(notes()) == set(map(str, range(6)))
    (tmp_path / "up").touch()
    assert finish(process)[0] == 0
    counts = Counter(notes())
    assert set(counts) == set(map(str, range(60)))
    assert {count for data, count in counts.items() if data != "5"} == {1}


@pytest.mark.parametrize(("what", "every"), [("Unavailable('down')", 20), ("Retry('later')", 3)])
def test_no_event_is_lost_when_the_process_halts_again_and_again(work, notes, what, every):
    code = f"""
    def start(self, event):
        note(event.data)
        if event.data % {every} == 1 and not os.path.exists(str(event.data)):
            open(str(event.data), 'w').close()
            raise {what}
"""
    process = work(code, "-j", 2, "--backoff", 0.01, patience=FOREVER)
    assert finish(process, lines(*range(200)))[0] == 0
    expected = {str(number): 2 if number % every == 1 else 1 for number in range(200)}
    assert Counter(notes()) == expected


def test_output_is_reported_with_its_event(work):
    code = """
    def start(self, event):
        os.write(1, f'raw {event.data}\\n'.encode())
        if event.data % 3 == 0:
            subprocess.run(['/bin/sh', '-c', f'echo shell {event.data} >&2'])
        if event.data % 4 == 0:
            print('print', event.data)
"""
    events = [event(f"e{number}", data=number) for number in range(120)]
    process = work(code, "-j", 2, "--log-format", "json", patience=FOREVER)
    status, _, err = finish(process, lines(*events))
    assert status == 0
    said = [orjson.loads(line) for line in err.splitlines()]
    assert len(said) == 120 + 40 + 30
    for each in said:
        assert each["event"] == "e" + each["message"].split()[-1], each


def test_output_larger_than_a_pipe_blocks_nothing(work):
    code = """
    def start(self, event):
        os.write(2, (b'x' * 999 + b'\\n') * 300)
"""
    status, _, err = finish(work(code), lines(*range(10)))
    assert status == 0
    assert err.count("x" * 999) == 3000


def test_recycle_replaces_a_process_after_exactly_that_many_events(work, notes):
    code = """
    def start(self, event):
        note(os.getpid())
"""
    assert finish(work(code, "--recycle", 10), lines(*range(95)))[0] == 0
    assert sorted(Counter(notes()).values()) == [5] + [10] * 9


def test_a_signal_keeps_the_events_that_have_not_begun(work, notes, tmp_path):
    process = work(HANGS, "--drain", 0.3, "--failed", "failed")
    write(process, 1, 2, "hang", *range(3, 50))
    until(lambda: "hang" in notes(), "the event that hangs")
    process.terminate()
    process.stdin.close()
    process.wait()
    assert notes() == ["1", "2", "hang"]
    assert len((tmp_path / "failed").read_bytes().splitlines()) == 48


def test_a_closed_reader_ends_the_pool_and_each_event_runs_once_at_most(work, notes, tmp_path):
    code = """
    def start(self, event):
        note(event.data)
        return 'x' * 1000
"""
    reader, writer = os.pipe()
    process = work(code, "-j", 2, "--failed", "failed", stdout=writer)
    os.close(writer)
    process.stdin.write(lines(*range(500)))
    process.stdin.close()
    with os.fdopen(reader, "rb") as out:
        out.readline()
    assert process.wait(SECONDS) != 0
    ran = Counter(notes())
    assert set(ran.values()) == {1}
    kept = {orjson.loads(line)["data"] for line in (tmp_path / "failed").read_bytes().splitlines()}
    assert kept | set(map(int, ran)) == set(range(500))


def test_with_once_a_repeated_event_runs_once(work, notes):
    process = work(NOTES, "--once", "seen")
    assert finish(process, lines(*[event("a", data="a")] * 50))[0] == 0
    assert notes() == ["a"]


def test_invalid_large_and_nested_lines_among_short_events_are_handled(work, notes):
    code = """
    def start(self, event):
        note(event.data if isinstance(event.data, int) else 'other')
        return event.data
"""
    large = "\r\u2028" + "x" * 200_000
    broken = b'{"specversion": "1.0", "id": ""}\nnot JSON\n'
    text = lines(*range(20)) + broken + lines(large) + lines(*range(20, 40)) + lines(large)
    status, out, err = finish(work(code, "--keep-order"), text)
    assert status == 1
    assert [event["data"] for event in out] == [*range(20), large, *range(20, 40), large]
    assert "2 of 44 events failed (2 invalid)" in err
    assert len(notes()) == 42


@pytest.mark.parametrize("ends", ["signal", "reader"])
@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_an_event_whose_result_waits_for_a_cancelled_one_is_kept(
    work, notes, tmp_path, isolation, ends
):
    code = """
    def start(self, event):
        note(event.data)
        if event.data == 0:
            time.sleep(1000)
        return event.data if event.data % 2 else None
"""
    options = ["--keep-order", "-j", 2, "--drain", 0, "--grace", 0.2, "--isolation", isolation]
    process = work(code, *options, "--joblog", "log", "--failed", "failed")
    write(process, *range(11))
    log = tmp_path / "log"
    # One thread runs all of them but the first, so that event 9 is done before event 10.
    until(lambda: log.exists() and len(records(log)) == 5, "the events without results")
    if ends == "signal":
        process.terminate()
    else:
        process.stdout.close()
    process.wait()
    failed = records(tmp_path / "failed")
    assert [each["data"] for each in failed] == [0, 1, 3, 5, 7, 9]
    reasons = [each["flowerror"] for each in failed]
    assert reasons[0] == "not tried: the pool ended"
    assert set(reasons[1:]) == {"its results were not written: the pool ended"}
    assert [each["flowattempts"] for each in failed] == [0, 1, 1, 1, 1, 1]
    assert len(records(log)) == 5


def test_a_result_that_is_too_long_fails_only_its_event(work):
    code = """
    def start(self, event):
        return 'x' * event.data
"""
    status, out, err = finish(work(code, "--max-line", 1000), lines(1, 2, 5000, 3, 4))
    assert status == 1
    assert sorted(len(event["data"]) for event in out) == [1, 2, 3, 4]
    assert err.count("a result is too long") == 1


def test_a_trace_function_of_the_workers_breaks_nothing(work, notes):
    code = """
    def start(self, event):
        note(event.data)
        def trace(*more):
            raise ValueError('traced')
        sys.settrace(trace)
"""
    assert finish(work(code), lines(*range(60)))[0] == 0
    assert sorted(map(int, notes())) == list(range(60))


def test_a_process_forked_by_the_worker_takes_no_event(work, notes):
    code = """
    def start(self, event):
        if os.fork() == 0:
            return
        os.wait()
        note(event.data)
"""
    assert finish(work(code, patience=FOREVER), lines(*range(60))) == (0, [], "")
    assert notes() == [str(number) for number in range(60)]


def test_no_process_outlives_the_command(work, notes):
    code = """
    def start(self, event):
        note(os.getpid())
        wait_for('never')
"""
    process = work(code, "-j", 2, patience=FOREVER)
    write(process, *range(20))
    until(lambda: len(notes()) == 2, "two events")
    process.kill()
    until(lambda: all(is_gone(int(pid)) for pid in notes()), "the end of the processes")
    assert len(notes()) == 2
