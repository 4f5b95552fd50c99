"""Nothing that a Worker does harms the pool: it fails only its event, in threads and processes."""

import os
import re
import signal
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE

import orjson
import pytest

from tests.running import SECONDS, until

ISOLATION = pytest.mark.parametrize("isolation", ["thread", "process"])

WAYS = {
    "str_raises": ("failed", "StrRaises: its text cannot be made: KeyError"),
    "str_exits": ("failed", "StrExits: its text cannot be made: SystemExit"),
    "str_hangs": ("timeout", "not done within"),
    "str_is_none": ("failed", "StrIsNone: its text cannot be made: TypeError"),
    "str_raises_itself": ("failed", "StrRaisesItself: its text cannot be made: StrRaisesItself"),
    "cause_has_no_text": ("failed", "above.*caused by StrRaises: its text cannot be made"),
    "member_has_no_text": ("failed", r"1\. StrExits: its text.*2\. ValueError: x"),
    "evil_class": ("failed", "no class|EvilClass"),
    "evil_notes": ("failed", "EvilNotes"),
    "evil_retry": ("failed", r"invalid Retry\(after='soon'\)"),
    "retry_text": ("failed", "Retry: later"),
    "retry_timedelta": ("failed", "Retry: later"),
    "retry_infinite": ("failed", r"invalid Retry\(after=inf\)"),
    "retry_junk": ("failed", r"invalid Retry\(after=\[30\]\)"),
    "exits": ("failed", "SystemExit: 5|ended with status 5"),
    "interrupts_itself": ("failed", "KeyboardInterrupt"),
    "limits_itself": ("failed", "TimeLimit|ended with status"),
    "takes_the_id": ("failed", "ValueError: gone"),
    "takes_everything": ("failed", "ValueError: gone"),
    "replaces_attributes": ("failed", "ValueError: gone"),
    "takes_the_id_and_returns": ("failed", "no attribute 'source'"),
    "returns_what_is_not_json": ("rejected", "data: object has no JSON form"),
    "yields_and_raises": ("failed", "ValueError: later"),
    "says_much": ("failed", r"ValueError: yyy.*y \[cut: .* bytes in all\]"),
    "rejects_with_much": ("rejected", r"Reject: yyy.*\[cut"),
    "retries_with_much": ("failed", r"Retry: y y.*\[cut"),
    "causes_say_much": ("failed", r"ValueError: yyy.*\[cut"),
    "group_says_much": ("failed", r"1\. ValueError: yyy.*\[cut"),
    "tells_why": ("failed", "ValueError: the end.*note: the note; caused by OSError: the cause"),
    "tells_of_all": ("failed", r"several.*1\. ValueError: first; 2\. KeyError: 'second'"),
    "program_fails": ("failed", "CalledProcessError: .*; stderr: why"),
    "hangs": ("timeout", "not done within"),
    "forks_and_raises": ("failed", "ValueError: forked"),
    "forks_and_returns": ("failed", "ValueError: forked"),
    "leaves_a_trace": ("failed", "ValueError: no"),
    "leaves_a_profile": ("failed", "ValueError: no"),
    "leaves_both_and_hangs": ("timeout", "not done within"),
    "leaves_a_trace_for_all": ("failed", "ValueError: no"),
    "traces_all_and_hangs": ("timeout", "not done within"),
    "reads_the_input": ("failed", "ValueError: read ''"),
    "goes_elsewhere": ("failed", "ValueError: no"),
    "clears_the_environment": ("failed", "ValueError: no"),
    "never_ends_its_recursion": ("failed", "RecursionError"),
    "wants_all_memory": ("failed", "MemoryError|OverflowError"),
    "returns_itself_within_itself": ("rejected", "ResultError: .*nested deeper"),
    "leaves_a_thread_that_raises": ("failed", "ValueError: no"),
    "floods_stderr": ("failed", "ValueError: no"),
    "stops_the_collector": ("failed", "ValueError: no"),
    "configures_logging": ("failed", "ValueError: no"),
    "disables_logging": ("failed", "ValueError: no"),
    "takes_the_handlers": ("failed", "ValueError: no"),
    "sets_a_level": ("failed", "ValueError: no"),
    "breaks_the_records": ("failed", "ValueError: no"),
    "shuts_logging_down": ("failed", "ValueError: no"),
    "logs_elsewhere": ("failed", "ValueError: no"),
    "closes_its_streams": ("failed", "ValueError: no"),
    "closes_descriptors": ("failed", "ValueError: no"),
    "patches_logging": ("failed", "ValueError: no"),
}
FATAL = {
    "segfaults": ("failed", "its process was killed by SIGSEGV"),
    "leaves_at_once": ("failed", "its process ended with status 5"),
    "kills_itself": ("failed", "its process was killed by SIGKILL"),
    "stops_itself": ("timeout", "not done within"),
}
"""Ways that no thread survives: only isolated processes promise to."""
EVERY = [(way, isolation) for way in WAYS for isolation in ("thread", "process")] + [
    (way, "process") for way in FATAL
]
LIMIT = 16 * 1024 + 1000
"""Maximum size of a line about a failure in bytes: its text, and the text around it."""


def event(way, number, subject=None):
    return {
        "specversion": "1.0",
        "id": f"id-{number}",
        "source": "s",
        "type": "t",
        "subject": subject or f"subject-{number}",
        "data": way,
    }


def run_hostile(start, tmp_path, ways, *options):
    """Run events of these ways; return status, results, messages, job log and failed file."""
    process = start(
        "flow-work", "tests.hostile:Hostile", "--joblog", "jobs", "--failed", "failed", *options,
        stdin=PIPE,
    )  # fmt: skip
    lines = [orjson.dumps(event(way, number)) for number, way in enumerate(ways)]
    out, err = process.communicate(b"".join(line + b"\n" for line in lines), timeout=SECONDS)
    files = [(tmp_path / name).read_bytes().splitlines() for name in ("jobs", "failed")]
    return process.returncode, out.splitlines(), err.splitlines(), *files


@pytest.mark.parametrize(("way", "isolation"), EVERY)
def test_a_hostile_worker_fails_only_its_event(way, isolation, start, tmp_path):
    outcome, text = (WAYS | FATAL)[way]
    retries = "0" if outcome == "timeout" else "1"
    options = ("--isolation", isolation, "--timeout", "2", "--grace", "20", "--retries", retries)
    status, out, err, jobs, failed = run_hostile(
        start, tmp_path, ["ok", way, "ok"], *options, "--backoff", "0.001"
    )
    rows = [orjson.loads(line) for line in jobs]
    last = next(row for row in rows if row["id"] == "id-1" and row["final"])
    assert (last["outcome"], last["subject"]) == (outcome, "subject-1"), err
    assert re.search(text, last["error"]), last["error"]
    assert [row["outcome"] for row in rows if row["id"] != "id-1"] == ["done", "done"]
    assert len(out) == 2
    assert status == 1
    assert err[-1] == b"flow-work: 1 of 3 events failed" + (
        b"" if outcome == "failed" else f" (1 {outcome})".encode()
    )
    # Whatever it does to logging, streams and descriptors, the command reports the failure.
    assert any(f"(line 2, attempt {last['attempt']}): {outcome}: ".encode() in each for each in err)
    assert [orjson.loads(line)["id"] for line in failed] == ["id-1"]
    assert orjson.loads(failed[0])["data"] == way
    assert max(map(len, [*err, *jobs, *failed])) < LIMIT


@ISOLATION
@pytest.mark.parametrize("worker", ["ForksInConfigure", "LeavesATraceInConfigure"])
def test_leftovers_of_configure_and_clean_up_do_no_harm(worker, isolation, start, tmp_path):
    process = start(
        "flow-work", f"tests.hostile:{worker}", "--isolation", isolation, "--joblog", "jobs",
        "-j", "2", stdin=PIPE,
    )  # fmt: skip
    lines = b"".join(orjson.dumps(event("ok", number)) + b"\n" for number in range(20))
    out, err = process.communicate(lines, timeout=SECONDS)
    assert (process.returncode, err) == (0, b"")
    rows = [orjson.loads(line) for line in (tmp_path / "jobs").read_bytes().splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(f"id-{number}" for number in range(20))
    assert len(out.splitlines()) == 20


@ISOLATION
@pytest.mark.parametrize("is_event", [True, False])
def test_every_attempt_gets_the_original_event(isolation, is_event, start, tmp_path):
    data = {"way": "changes_its_data", "seen": 0}
    line = orjson.dumps(event(data, 1) if is_event else data) + b"\n"
    process = start(
        "flow-work", "tests.hostile:Hostile", "--isolation", isolation, "--retries", "2",
        "--backoff", "0.001", "--failed", "failed", stdin=PIPE,
    )  # fmt: skip
    assert process.communicate(line, timeout=SECONDS)[0] == b""
    seen = (tmp_path / "seen").read_text().splitlines()
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0].split()[:2] == ["1", "s" if is_event else "flow-work"]
    assert orjson.loads((tmp_path / "failed").read_bytes())["data"] == data


@ISOLATION
def test_the_pool_survives_all_hostile_workers_at_once(isolation, start, tmp_path):
    every = {**WAYS, **FATAL} if isolation == "process" else WAYS
    ways = [each for way in every for each in ("ok", way)]
    options = ("-j", "4", "--isolation", isolation, "--timeout", "2", "--grace", "20")
    status, out, err, jobs, failed = run_hostile(
        start, tmp_path, ways, *options, "--retries", "1", "--backoff", "0.001"
    )
    assert status == 1, err
    assert len(out) == len(failed) == len(every)
    assert sum(b'"final":true' in line for line in jobs) == len(ways)


@ISOLATION
def test_a_verbose_traceback_is_bounded(isolation, start, tmp_path):
    ways = ["says_much", "str_raises", "str_exits", "group_says_much"]
    status, _, err, _, _ = run_hostile(start, tmp_path, ways, "--isolation", isolation, "-v")
    assert status == 1
    assert sum(map(len, err)) < len(ways) * 6 * LIMIT
    assert b"Traceback" in b"\n".join(err)


# Many of them

THOUSAND = {
    # Each thread is abandoned and replaced; it ends a while later.
    "a stuck thread": ("hangs_for_a_while", ("--timeout", "0.01", "--grace", "0.01", "-j", "4")),
    "a time-out": ("loops", ("--timeout", "0.01", "--grace", "20", "-j", "8")),
    "an exception": ("raises", ("-j", "2")),
    "a crash": ("leaves_at_once", ("-j", "2", "--isolation", "process")),
    "a killed process": (
        "loops", ("--timeout", "0.01", "-j", "4", "--isolation", "process"),
    ),
}  # fmt: skip


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("way", "options"), THOUSAND.values(), ids=THOUSAND)
def test_a_thousand_hostile_events_leave_nothing_behind(way, options, start, tmp_path):
    process = start(
        "flow-work", "tests.hostile:Hostile", "--joblog", "log", "--max-abandoned", "1000",
        *options, stdin=PIPE, stderr=DEVNULL,
    )  # fmt: skip
    log = tmp_path / "log"
    until(log.exists, "the job log")

    def run(count):
        before = len(log.read_bytes().splitlines())
        lines = (orjson.dumps(event(way, number)) + b"\n" for number in range(count))
        process.stdin.write(b"".join(lines))
        process.stdin.flush()
        # A busy machine may need a tenth of a second for each process that is replaced.
        until(lambda: len(log.read_bytes().splitlines()) == before + count, "the attempts", 300)

    def measured():
        """Descriptors and anonymous memory of flow-work and of its template, if it has one."""
        found = [process.pid]
        if "process" in options:
            found += children(process.pid)
            assert len(found) == 2
        return [(len([*Path(f"/proc/{pid}/fd").iterdir()]), memory(pid)) for pid in found]

    def threads():
        return len([*Path(f"/proc/{process.pid}/task").iterdir()])

    def rest():
        """Wait until stuck threads have ended and each process that died is replaced."""
        until(lambda: threads() <= 40, "the end of threads that were stuck")
        if "process" in options:
            width = int(options[options.index("-j") + 1])
            until(lambda: len(children(children(process.pid)[0])) == width, "the processes")

    run(200)
    rest()
    early, usual = measured(), threads()
    run(800)
    rest()
    until(lambda: threads() <= usual, "the end of threads that were stuck")
    # What belonged to the last process that died may be closed a moment later.
    usual_fds = [fds for fds, _ in early]
    until(
        lambda: all(now <= then + 1 for (now, _), then in zip(measured(), usual_fds, strict=True)),
        "the end of descriptors",
    )
    for (_, kilobytes), (_, kilobytes_later) in zip(early, measured(), strict=True):
        assert kilobytes_later <= kilobytes + 5000
    process.stdin.close()
    assert process.wait(SECONDS) == 1


def children(pid):
    return [int(each) for path in Path(f"/proc/{pid}/task").glob("*/children")
            for each in path.read_text().split()]  # fmt: skip


def memory(pid):
    """Anonymous memory of a process, in KiB."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


# Programs that the Worker starts


def asleep(seconds):
    """The processes that are `sleep SECONDS`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def length():
    """A number of seconds that is unique to this test's programs."""
    return f"7{os.getpid() % 1000}.{time.monotonic_ns() % 1_000_000_000}"


def begin(start, isolation, events, *options, worker="Hostile"):
    process = start("flow-work", f"tests.hostile:{worker}", "--isolation", isolation, *options,
                    stdin=PIPE)  # fmt: skip
    process.stdin.write(b"".join(orjson.dumps(each) + b"\n" for each in events))
    process.stdin.close()
    process.stdin = None
    return process


@ISOLATION
def test_a_timeout_ends_the_programs_of_the_attempt_before_the_next_one(isolation, start):
    seconds = length()
    process = begin(
        start, isolation, [event("starts_programs", 1, seconds)],
        "--timeout", "1", "--retries", "1", "--backoff", "0.001", "--grace", "20",
    )  # fmt: skip
    most = 0
    while process.poll() is None:
        most = max(most, len(asleep(seconds)))
        time.sleep(0.005)
    assert process.returncode == 1
    assert most == 3
    until(lambda: not asleep(seconds), "the end of all programs")


@ISOLATION
def test_the_end_of_the_drain_ends_the_programs_of_running_attempts(isolation, start):
    seconds = length()
    events = [event("starts_programs", 1, seconds)]
    process = begin(start, isolation, events, "--drain", "0.1", "--grace", "20")
    until(lambda: len(asleep(seconds)) == 3, "three programs")
    process.terminate()
    process.wait(SECONDS)
    until(lambda: not asleep(seconds), "the end of all programs")


def test_programs_of_earlier_attempts_and_other_threads_are_left_alone(start):
    kept, ended = length(), length()
    last = event("starts_programs", 3, ended)
    events = [event("leaves_a_program", 1, kept), event("pauses", 2), last]
    process = begin(start, "thread", events, "--timeout", "1", "--grace", "20")
    assert process.wait(SECONDS) == 1
    until(lambda: not asleep(ended), "the end of the programs of what was over time")
    assert len(asleep(kept)) == 1
    os.kill(*asleep(kept), signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_a_process_whose_interpreter_is_held(signum, start, tmp_path):
    process = begin(start, "thread", [event("holds_the_interpreter", 1)])
    until((tmp_path / "begun").exists, "the Worker to begin")

    def has_ended():
        process.send_signal(signum)
        time.sleep(0.1)
        return process.poll() is not None

    until(has_ended, "the end by a second signal")
    assert process.returncode == -signum


# configure and clean_up


@ISOLATION
@pytest.mark.parametrize("worker", ["ConfigureHangs", "CleanUpHangs"])
def test_a_worker_that_hangs_in_configure_or_clean_up_does_not_outlast_the_drain(
    worker, isolation, start, tmp_path
):
    process = begin(start, isolation, [event("ok", 1)], "--drain", "0.3", worker=worker)
    until((tmp_path / "begun").exists, "the Worker to hang")
    process.terminate()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode in (-signal.SIGTERM, 1), err
    if isolation == "thread":
        assert process.returncode == -signal.SIGTERM
        assert b"has not ended within 0.3 s after SIGTERM; ending anyway" in err


@ISOLATION
def test_output_printed_at_exit_does_not_mix_with_event_lines(isolation, start):
    process = begin(start, isolation, [event("ok", 1)], worker="PrintsAtTheEnd")
    out, err = process.communicate(timeout=SECONDS)
    assert [orjson.loads(line)["data"] for line in out.splitlines()] == ["ok"]
    assert b"printed by atexit" in err
    assert process.returncode == 0


@ISOLATION
def test_what_is_written_while_the_interpreter_ends_is_a_message(isolation, start):
    process = begin(
        start, isolation, [event("ok", 1)], "--log-format", "json", worker="PrintsAtTheEnd"
    )
    _, err = process.communicate(timeout=SECONDS)
    said = [orjson.loads(line)["message"] for line in err.splitlines()]
    assert "printed by atexit" in said
