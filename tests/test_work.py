"""flow-work as a process: its output, its ending, and what it never loses."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from subprocess import PIPE

import orjson
import pytest

from tests.conftest import ROOT, environment
from tests.running import SECONDS, finish, lines, until
from tests.terminals import Terminal


@pytest.fixture
def work(start, notes):
    """Start flow-work on a class of tests/workers.py."""

    def run(name, *args, **options):
        env = {"PYTHONPATH": str(ROOT), "NOTES": str(notes.path)} | options.pop("env", {})
        options = {"stdin": PIPE} | options
        target = options.pop("target", f"tests.workers:{name}")
        return start("flow-work", target, *args, env=env, **options)

    return run


# Log rotation


def test_sighup_reopens_files_without_losing_a_line(work, tmp_path, notes):
    process = work("Whatever", "--joblog", "log", "--failed", "failed")
    lines_of = {
        name: lambda name=name: (
            (tmp_path / name).read_bytes().splitlines() if (tmp_path / name).exists() else []
        )
        for name in ("log", "log.1", "failed", "failed.1")
    }
    process.stdin.write(lines(["ok", 1], "fail"))
    process.stdin.flush()
    until(lambda: len(lines_of["log"]()) == 2, "the job log")
    until(lambda: len(lines_of["failed"]()) == 1, "the failed file")
    (tmp_path / "log").rename(tmp_path / "log.1")
    (tmp_path / "failed").rename(tmp_path / "failed.1")
    process.send_signal(signal.SIGHUP)
    until((tmp_path / "failed").exists, "a new file")
    status, _, _ = finish(process, lines(["ok", 2], "fail"))
    assert status == 1
    assert [len(of()) for of in lines_of.values()] == [2, 2, 1, 1]


def test_files_that_cannot_be_reopened_stay_in_use(work, tmp_path):
    (tmp_path / "logs").mkdir()
    process = work("Whatever", "--joblog", "logs/log")
    until((tmp_path / "logs/log").exists, "the job log")
    kept = (tmp_path / "logs/log").open("rb")
    process.stdin.write(lines(["ok", 1]))
    process.stdin.flush()
    until(lambda: kept.read(), "a line")
    (tmp_path / "logs/log").unlink()
    (tmp_path / "logs").rmdir()
    process.send_signal(signal.SIGHUP)
    said = process.stderr.readline().decode()
    assert said.startswith("flow-work: cannot open job log 'logs/log': No such file or directory;")
    assert finish(process, lines(["ok", 2]))[0] == 0
    assert kept.read().count(b"\n") == 1
    kept.close()


@pytest.fixture
def hangup_is_heard():
    """Started processes do not ignore SIGHUP, even if nohup runs the tests."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangup_is_heard")
def test_without_files_sighup_ends_the_process(work, notes):
    process = work("Note")
    until(lambda: notes() == ["configure -"], "the Worker")
    process.send_signal(signal.SIGHUP)
    assert finish(process)[0] == -signal.SIGHUP


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("--failed f <f", "'--failed f'"),
        ("--joblog f <f", "'--joblog f'"),
        ("<f >>f", "standard output"),
        ("--failed ./g <f", "'--failed g'"),
    ],
)
def test_reading_a_file_that_is_also_written_is_refused(tmp_path, line, named):
    # Each failure would be read again, endlessly, until the disk is full.
    (tmp_path / "f").write_bytes(lines("fail"))
    (tmp_path / "g").symlink_to("f")
    command = f"flow-work tests.workers:Whatever {line}"
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS,
        env=environment(PYTHONPATH=str(ROOT)),
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"flow-work: {named} is the input, too; ")
    assert (tmp_path / "f").read_bytes() == lines("fail")


# Messages


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_with_log_format_json_every_line_on_stderr_is_json(work, tmp_path, isolation):
    (tmp_path / "talks.py").write_text(
        "class Talks:\n"
        "    def start(self, event):\n"
        "        print('a word\\tor two')\n"
        "        raise ValueError('no')\n"
    )
    process = work("Talks", "--log-format", "json", "-v", "--progress", "--isolation", isolation,
                   env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, target="talks:Talks")  # fmt: skip
    process.stdin.write(lines({"n": 1}))
    process.stdin.flush()
    said = [json.loads(process.stderr.readline())]
    while "a word\tor two" not in said[-1]["message"]:
        said.append(json.loads(process.stderr.readline()))
    process.send_signal(signal.SIGUSR1)
    while " abandoned" not in said[-1]["message"]:
        said.append(json.loads(process.stderr.readline()))
    process.stdin.write(b"no json\n")
    process.stdin.close()
    said += [json.loads(line) for line in process.stderr]
    assert process.wait(SECONDS) == 1
    assert {each["command"] for each in said} == {"flow-work"}
    assert {"info", "error"} <= {each["level"] for each in said}
    assert any(each["message"].startswith("0 done, 2 failed") for each in said)


# The life cycle of a Worker


def test_a_worker_is_configured_once_started_for_each_event_and_cleaned_up(work, notes, tmp_path):
    (tmp_path / "c.ini").write_text("[note]\nword = from file\n")
    process = work("Note", "--config", "c.ini")
    assert finish(process, lines("a", "b")) == (0, [], "")
    assert notes() == ["configure from file", "a", "b", "clean_up"]


def test_a_setting_on_the_command_line_overrides_the_file(work, notes, tmp_path):
    (tmp_path / "c.ini").write_text("[note]\nword = from file\n")
    finish(work("Note", "--config", "c.ini", "--set", "note.word=$WORD", env={"WORD": "mine"}))
    assert notes()[0] == "configure mine"


def test_a_module_in_the_current_directory_is_found(start, tmp_path):
    (tmp_path / "mine.py").write_text(
        "class Mine:\n    def start(self, event): return event.data\n"
    )
    status, out, _ = finish(start("flow-work", "mine:Mine", stdin=PIPE), lines("x"))
    assert (status, [event["data"] for event in out]) == (0, ["x"])


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("", "nothere:X", "cannot load Worker 'nothere:X': there is no module 'nothere' in "),
        ("", "mine:X", "cannot load Worker 'mine:X': there is no class 'X' in "),
        ("", "mine", "cannot load Worker 'mine': write MODULE:CLASS, such as mymod:Tag"),
        ("X = 1", "mine:X", "'mine:X': it is neither a class with a 'start' nor a function"),
        ("class X: pass", "mine:X", "cannot load Worker 'mine:X': its class has no 'start'"),
        ("import nowhere", "mine:X", "No module named 'nowhere' ({dir}/mine.py, line 1)"),
        (
            "def (",
            "mine:X",
            "'mine:X': SyntaxError: invalid syntax ({dir}/mine.py, line 1)",
        ),
        (
            "",
            "mine.py:X",
            "there is no module 'mine.py' in {dir} or on PYTHONPATH; leave out the .py",
        ),
        ("import json\n\njson.loads('')", "mine:X", "(char 0) ({dir}/mine.py, line 3)"),
        ("\n1/0", "mine:X", "ZeroDivisionError: division by zero ({dir}/mine.py, line 2)"),
    ],
)
def test_a_worker_that_cannot_be_loaded_is_named_with_file_and_line(
    start, tmp_path, source, name, message
):
    (tmp_path / "mine.py").write_text(source)
    status, out, err = finish(start("flow-work", name, stdin=PIPE), lines("x"))
    assert (status, out) == (78, [])
    assert message.format(dir=tmp_path) in err
    assert err.count("\n") == 1


def test_a_client_without_settings_is_refused_without_naming_missing_options(work):
    status, out, err = finish(work("", target="tests.runners:Asset"))
    assert (status, out) == (78, [])
    assert "VIZONE_PASSWORD not set; set them in the environment\n" in err


def test_a_worker_that_cannot_be_configured_ends_the_command(work):
    status, _, err = finish(work("BadConfigure"), lines("x"))
    assert status == 78
    assert "cannot configure Worker 'tests.workers:BadConfigure': KeyError: 'host'" in err


STATUSES = """
from flowtools.errors import ConfigurationError, RefusedError, UnreachableError
from flowtools.vizone import BusyError
from flowtools.worker import Unavailable

class Down(OSError): pass
class Worker:
    def configure(self, config): raise {}
    def start(self, event): pass
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("Unavailable('no database')", 69),
        ("UnreachableError('no database')", 69),
        ("BusyError('no database')", 69),
        ("Down('no database')", 69),
        ("RefusedError('no database')", 77),
        ("ConfigurationError('no database')", 78),
        ("ConnectionError('no database')", 78),
    ],
)
def test_an_outage_while_a_worker_is_configured_has_its_own_status(
    run, tmp_path, isolation, raised, expected
):
    (tmp_path / "mine.py").write_text(STATUSES.format(raised))
    words = ("--isolation", isolation, "--pause-on", "mine:Down")
    status, _, err = run("flow-work", "mine:Worker", *words, input=b"1\n")
    assert status == expected
    assert "no database" in err
    assert err.count("\n") == 1


NOT_CREATED = """
class Worker:
    def __init__(self, host): pass
    def start(self, event): pass
"""


def test_an_error_names_no_line_of_the_command_itself(run, tmp_path):
    (tmp_path / "mine.py").write_text(NOT_CREATED)
    status, _, err = run("flow-work", "mine:Worker", input=b"1\n")
    assert status == 78
    assert err.endswith("missing 1 required positional argument: 'host'\n")


def test_a_failing_clean_up_fails_the_command(work):
    status, _, err = finish(work("BadCleanUp"), lines("x"))
    assert status == 1
    assert "cannot clean up after the Worker: OSError: cannot close" in err


# Results


def test_values_returned_by_start_are_printed_as_lines(work):
    status, out, _ = finish(work("Upper"), lines("a", 3, None))
    assert status == 0
    assert [event["data"] for event in out] == ["A", 0, 1, 2]
    assert {event["type"] for event in out} == {"flow.work.result"}
    assert len({event["id"] for event in out}) == 4


def test_an_event_returned_by_start_is_printed_unchanged(work):
    _, out, _ = finish(work("Whatever"), lines("event"))
    assert [(e["type"], e["id"], e["subject"], e["data"]) for e in out] == [
        ("mine", "new", "s", {"x": 1})
    ]


def test_results_have_the_same_ids_when_an_event_is_processed_again(work):
    first, second = (finish(work("Upper"), lines("a", 2))[1] for _ in range(2))
    assert [event["id"] for event in first] == [event["id"] for event in second]


def test_each_result_is_one_write_with_any_number_of_threads(work):
    """A packet pipe keeps writes apart; the lines are longer than the atomic size of a pipe."""
    reader, writer = os.pipe2(os.O_DIRECT)
    process = work("Echo", "-j", "8", stdout=writer)
    os.close(writer)
    process.stdin.write(lines(*(f"{n}" for n in range(500))))
    process.stdin.close()
    packets = []
    while packet := os.read(reader, 4096):
        packets.append(packet)
    os.close(reader)
    assert sorted(orjson.loads(packet)["data"] for packet in packets) == sorted(
        map(str, range(500))
    )


def test_long_lines_of_many_threads_are_never_mixed(work):
    status, out, _ = finish(work("Big", "-j", "16"), lines(*(f"{n:04}" * 10 for n in range(60))))
    assert status == 0
    assert sorted(event["data"][0] for event in out) == [f"{n:04}" * 10 for n in range(60)]
    assert all(event["data"] == [event["data"][0]] * 3000 for event in out)


def test_a_result_that_cannot_be_json_fails_its_event(work):
    status, out, err = finish(work("Whatever"), lines("nan"))
    assert (status, out) == (1, [])
    assert "NaN and infinity are not JSON numbers" in err


def test_other_output_to_stdout_is_redirected_to_stderr(work):
    status, out, err = finish(work("Whatever"), lines(["print", "hello"]))
    assert (status, out) == (0, [])
    assert ": hello\n" in err
    assert "from a child\n" in err
    assert "straight to descriptor 1\n" in err


def test_output_of_a_worker_is_prefixed_with_its_event(work):
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "clip 7"}
    _, _, err = finish(work("Whatever"), lines(event | {"data": ["print", "hello"]}))
    assert "flow-work: clip 7 (1): hello\n" in err


# How it ends


def test_failed_events_cause_status_1_and_a_line_with_their_number(work):
    status, _, err = finish(work("Whatever"), lines("ok", "fail") + b"{bad\n")
    assert status == 1
    assert err.splitlines()[-1] == "flow-work: 2 of 3 events failed (1 failed, 1 invalid)"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_then_ends_the_process_by_that_signal(work, notes, signum):
    process = work("Whatever")
    process.stdin.write(lines(["sleep", 0.5], ["ok", "never"]))
    process.stdin.flush()
    until(lambda: notes() == ["sleep"], "the event to run")
    process.send_signal(signum)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == -signum
    assert notes() == ["sleep"]
    assert "1 line was read but not processed" in err.decode()


def test_a_signal_lets_the_worker_clean_up(work, notes):
    process = work("Note")
    process.stdin.write(lines("a"))
    process.stdin.flush()
    until(lambda: "a" in notes(), "the event")
    process.terminate()
    assert process.wait(SECONDS) == -signal.SIGTERM
    assert notes() == ["configure -", "a", "clean_up"]


def test_a_second_signal_ends_the_command_immediately(work, notes):
    process = work("Whatever", "--drain", "1000")
    process.stdin.write(lines("sleep"))
    process.stdin.flush()
    until(notes, "the event to run")
    process.terminate()

    def has_ended():
        process.terminate()
        return process.poll() is not None

    until(has_ended, "the end")
    assert process.returncode == -signal.SIGTERM


def test_events_that_outlast_the_drain_are_cut_short(work, notes):
    process = work("Whatever", "--drain", "0.1", "--grace", "0.1")
    process.stdin.write(lines("sleep"))
    process.stdin.flush()
    until(notes, "the event to run")
    process.terminate()
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_closed_reader_ends_the_command_quietly_by_sigpipe(shell):
    line = (
        'seq 100000 | flow-work tests.workers:Echo | head -n 1 >/dev/null; echo "${PIPESTATUS[*]}"'
    )
    status, out, err = shell(line, PYTHONPATH=str(ROOT))
    assert (status, err) == (0, "")
    assert out.split()[1:] == [b"141", b"0"]


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("<&-", "flow-work: cannot read standard input: Bad file descriptor\n"),
        (">&-", "flow-work: cannot write standard output: Bad file descriptor\n"),
        (">/dev/full", "flow-work: cannot write standard output: No space left on device\n"),
    ],
)
def test_a_closed_or_full_descriptor_is_named(shell, redirection, said):
    line = f"echo 1 | flow-work tests.workers:Echo {redirection}"
    status, out, err = shell(line, PYTHONPATH=str(ROOT))
    assert (status, out) == (1, b"")
    assert err.endswith(said)


def test_a_full_disk_under_the_job_log_loses_no_event(work, tmp_path):
    options = ("--joblog", "/dev/full", "--failed", "failed")
    status, _, err = finish(work("Whatever", *options), lines(["ok", 1], "fail", ["ok", 2]))
    assert status == 1
    assert "cannot write job log '/dev/full': No space left on device" in err
    assert len((tmp_path / "failed").read_bytes().splitlines()) == 3


def test_stuck_threads_do_not_keep_the_process_from_ending(work, notes):
    process = work("Whatever", "-j", "3", "--timeout", "0.2", "--grace", "0.1")
    status, _, err = finish(process, lines(*["sleep"] * 3, *[["ok", n] for n in range(50)]))
    assert status == 1
    assert sorted(notes()) == sorted(["sleep"] * 3 + [f"ok {n}" for n in range(50)])
    assert "a thread is stuck in event" in err
    assert "3 of 53 events failed (3 timeout)" in err


def test_too_many_stuck_threads_end_the_command_with_status_70(work, notes):
    options = ("-j", "2", "--timeout", "0.1", "--grace", "0.1", "--max-abandoned", "2")
    status, _, err = finish(work("Whatever", *options), lines(*["sleep"] * 10))
    assert status == 70
    assert "2 threads are stuck in the Worker (--max-abandoned 2); ending" in err


def test_sigusr1_prints_the_state_and_every_threads_stack(work, notes):
    process = work("Whatever", "-j", "2")
    process.stdin.write(lines("ok", "ok", "fail", ["sleep", 1000]))
    process.stdin.flush()
    until(lambda: "sleep" in notes(), "the event to run")
    assert b"failed" in process.stderr.readline()
    process.send_signal(signal.SIGUSR1)
    text = ""
    while "time.sleep(seconds)" not in text or "idle" not in text:
        line = process.stderr.readline().decode()
        assert line.startswith("flow-work: ")
        text += line
    assert text.startswith("flow-work: 2 done, 1 failed; 0 events waiting; 0 threads abandoned\n")
    process.kill()


def test_an_idle_input_costs_no_cpu_and_the_next_line_is_still_timed(work, notes):
    process = work("Whatever", "--timeout", "0.05", "--grace", "0.05", "-j", "2")
    process.stdin.write(lines(["ok", 1]))
    process.stdin.flush()
    until(notes, "the first event")
    threads = [each / "status" for each in Path(f"/proc/{process.pid}/task").iterdir()]

    def is_still():
        def switches():
            return [
                line
                for path in threads
                for line in path.read_text().splitlines()
                if "ctxt_switches" in line
            ]

        before = switches()
        time.sleep(0.5)  # Ten time-outs.
        return switches() == before

    until(is_still, "half a second in which no thread wakes")
    status, _, err = finish(process, lines("sleep"))
    assert status == 1
    assert "1 of 2 events failed (1 timeout)" in err


# Files


def test_the_joblog_has_a_line_for_each_attempt(work, tmp_path):
    process = work("FailsTwice", "--retries", "3", "--backoff", "0.001", "--joblog", "jobs")
    assert finish(process, lines("a"))[0] == 0
    log = [orjson.loads(line) for line in (tmp_path / "jobs").read_bytes().splitlines()]
    assert [(row["outcome"], row["attempt"], row["final"]) for row in log] == [
        ("failed", 1, False),
        ("failed", 2, False),
        ("done", 3, True),
    ]


def test_resume_skips_events_done_in_the_joblog(work, notes, tmp_path):
    text = lines(["ok", 1], "fail", ["ok", 2])
    assert finish(work("Whatever", "--joblog", "jobs"), text)[0] == 1
    status, _, err = finish(work("Whatever", "--joblog", "jobs", "--resume"), text)
    assert status == 1
    assert notes() == ["ok 1", "ok 2"]
    assert err.splitlines()[-1] == "flow-work: 1 of 3 events failed"
    assert "skipped" not in err
    *_, failed, skipped = map(json.loads, (tmp_path / "jobs").read_text().splitlines())
    assert failed["outcome"] == "failed"
    assert (skipped["outcome"], skipped["events"]) == ("skipped", 2)
    assert finish(work("Note", "--joblog", "jobs", "--resume", "-v"), text)[2].endswith(
        "flow-work: 2 events were done already: skipped\n"
    )


def test_on_a_terminal_resume_reports_how_many_it_skipped(tmp_path):
    (tmp_path / "jobs").write_text('{"id":"a","outcome":"done"}\n')
    (tmp_path / "line").write_text('{"specversion":"1.0","id":"a","source":"s","type":"t"}\n')
    command = "flow-work tests.workers:Nop --joblog jobs --resume <line"
    screen = Terminal(command, cwd=tmp_path, PYTHONPATH=str(ROOT))
    screen.wait_for("flow-work: 1 event was done already: skipped")
    assert screen.end() == 0
    screen.close()


@pytest.mark.parametrize(
    "option", ["--timeout", "--grace", "--drain", "--backoff", "--max-backoff"]
)
@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "-1"])
def test_options_in_seconds_need_a_finite_number(work, option, value):
    status, _, err = finish(work("Nop", option, value))
    assert status == 2
    assert f"invalid value for '{option}'" in err


@pytest.mark.parametrize(
    "option", ["--timeout", "--grace", "--drain", "--backoff", "--max-backoff"]
)
def test_options_in_seconds_accept_huge_numbers(work, option):
    options = (option, "1e308", "-j", "2")
    assert finish(work("Whatever", *options), lines("ok", "ok", "fail"))[0] == 1


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--joblog f --failed f", "'--failed f' is the job log, too"),
        ("--joblog f --failed ./f", "'--failed f' is the job log, too"),
        ("--joblog f --failed f", "'--failed f' is '--joblog f', too"),
        ("--joblog f --failed link", "'--failed link' is '--joblog f', too"),
        ("--failed f >f", "'--failed f' is standard output, too"),
        ("--joblog f >>f", "'--joblog f' is standard output, too"),
    ],
)
def test_one_file_cannot_be_used_by_two_options(shell, tmp_path, command, said):
    if "job log" not in said:
        (tmp_path / "f").touch()
        (tmp_path / "link").symlink_to("f")
    status, _, err = shell(f"echo 1 | PYTHONPATH={ROOT} flow-work tests.workers:Nop {command}")
    assert (status, said in err) == (2, True), err
    assert not (tmp_path / "f").exists() or not (tmp_path / "f").read_bytes()


@pytest.mark.parametrize("option", ["--failed", "--joblog"])
def test_a_file_that_cannot_be_opened_is_a_configuration_error(work, option):
    status, _, err = finish(work("Nop", option, "/no/f"), lines(1))
    assert status == 78
    assert "'/no/f': No such file or directory" in err


def test_failed_events_are_reported_without_our_own_traceback(work):
    status, _, err = finish(work("Whatever", "-v"), lines("fail"))
    assert status == 1
    assert err.endswith("flow-work: 1 of 1 event failed\n")
    assert "EventsFailed" not in err


def test_resume_without_a_joblog_is_a_usage_error(work):
    status, _, err = finish(work("Nop", "--resume"))
    assert (status, err) == (2, "flow-work: --resume needs --joblog FILE; try 'flow-work --help'\n")


def test_failed_lines_are_kept_and_can_be_replayed(work, notes, tmp_path):
    assert finish(work("Whatever", "--failed", "failed"), lines(["ok", 1], ["fail", "x"]))[0] == 1
    kept = (tmp_path / "failed").read_bytes()
    assert kept.count(b"\n") == 1
    assert b"ValueError: x" in kept
    status, out, _ = finish(work("Echo"), kept)
    assert (status, [event["data"] for event in out]) == (0, [["fail", "x"]])


def test_events_left_by_a_stop_are_kept(work, notes, tmp_path):
    process = work("Whatever", "--failed", "failed")
    process.stdin.write(lines(["sleep", 0.5], ["ok", "a"], ["ok", "b"]))
    process.stdin.flush()
    until(notes, "the event to run")
    process.terminate()
    process.communicate(timeout=SECONDS)
    kept = [orjson.loads(line) for line in (tmp_path / "failed").read_bytes().splitlines()]
    assert [event["data"] for event in kept] == [["ok", "a"], ["ok", "b"]]


def test_a_full_disk_under_the_failed_file_ends_the_command_with_a_message(work):
    status, _, err = finish(work("Whatever", "--failed", "/dev/full"), lines("fail", ["ok", 1]))
    assert status == 1
    assert "'/dev/full'" in err
    assert "No space left on device" in err


def test_every_event_done_before_a_sigkill_is_in_the_joblog(work, notes, tmp_path):
    process = work("Whatever", "--joblog", "jobs", "-j", "4")
    process.stdin.write(lines(*(["ok", n] for n in range(500))))
    process.stdin.flush()
    until(lambda: len(notes()) > 100, "some events")
    process.kill()
    process.wait()
    logged = (tmp_path / "jobs").read_bytes()
    assert logged.endswith(b"\n")
    # Events done and not yet recorded at the kill: at most one per thread.
    assert len(notes()) - len(logged.splitlines()) <= 4


# Limits


def test_halt_ends_the_command_early(work, notes):
    text = lines(["ok", 1], "fail", *[["ok", 2]] * 2000)
    status, _, _ = finish(work("Whatever", "--halt", "soon,fail=1"), text)
    assert status == 1
    assert len(notes()) < 100


def test_halt_counts_successes_too(work, notes):
    status, _, _ = finish(work("Whatever", "--halt", "soon,success=3"), lines(*[["ok", 1]] * 2000))
    assert status == 0
    assert len(notes()) == 3


def test_halt_now_cancels_running_events(work, notes):
    options = ("-j", "2", "--halt", "now,fail=1", "--timeout", "0", "--grace", "20")
    process = work("Whatever", *options)
    process.stdin.write(lines("spin"))
    process.stdin.flush()
    until(notes, "the event to run")
    status, _, _ = finish(process, lines("fail"))
    assert status == 1


def test_rate_spaces_the_starts(work, notes):
    began = time.monotonic()
    status, _, _ = finish(work("Note", "--rate", "20/s", "-j", "4"), lines(*range(30)))
    assert status == 0
    assert len(notes()) == 32
    assert time.monotonic() - began >= 0.4


def test_a_line_beyond_max_line_fails_alone(work, notes):
    status, _, err = finish(work("Note", "--max-line", "50"), lines("a", "b" * 100, "c"))
    assert status == 1
    assert notes()[1:-1] == ["a", "c"]
    assert "line 2 is not an event: longer than --max-line allows" in err


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_dry_run_checks_everything_and_runs_nothing(work, notes, isolation):
    process = work("Note", "--dry-run", "-v", "--key", "subject", "--isolation", isolation)
    status, out, err = finish(process, lines("a") + b"{bad\n")
    assert (status, out, notes()) == (1, [], ["configure -", "clean_up"])
    assert "would run 1 event on tests.workers:Note with 1 thread;" in err
    assert "line 2 is not an event" in err


@pytest.mark.parametrize(
    "args",
    [
        ("-j", "0"),
        ("--halt", "later"),
        ("--rate", "fast"),
        ("--key", "no such"),
        ("--retries", "-1"),
    ],
)
def test_a_meaningless_option_is_a_one_line_usage_error(work, args):
    status, out, err = finish(work("Nop", *args))
    assert (status, out) == (2, [])
    assert args[0] in err
    assert err.count("\n") == 1


# Processes


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        ("segfault", "its process was killed by SIGSEGV"),
        ("vanish", "its process ended with status 3"),
        ("exit", "failed: SystemExit: enough ("),
        ("fail", "ValueError: no ("),
        ("interrupt", "failed: KeyboardInterrupt ("),
    ],
)
def test_a_crash_fails_only_its_event(work, notes, verb, message):
    process = work("Whatever", "--isolation", "process", "-j", "2")
    status, _, err = finish(process, lines(["ok", 1], verb, ["ok", 2], ["ok", 3]))
    assert status == 1
    assert sorted(notes()) == ["ok 1", "ok 2", "ok 3"]
    assert message in err
    assert "Traceback" not in err


def test_a_timeout_kills_the_process_and_the_number_of_threads_stays(work, notes):
    process = work("Whatever", "--isolation", "process", "-j", "2", "--timeout", "1")
    text = lines("sleep", "spin", *[["ok", n] for n in range(20)])
    status, _, err = finish(process, text)
    assert status == 1
    assert sorted(notes()) == sorted(["sleep", "spin"] + [f"ok {n}" for n in range(20)])
    assert "2 of 22 events failed (2 timeout)" in err
    assert "stuck" not in err


def test_starting_a_process_does_not_count_as_event_time(work, notes):
    process = work("StartsSlowly", "--isolation", "process", "--timeout", "1.5", "-j", "2")
    status, _, _ = finish(process, lines("vanish", *[["ok", n] for n in range(5)]))
    assert sorted(notes()) == [f"ok {n}" for n in range(5)]
    assert status == 1


def test_each_thread_has_its_own_process_and_worker(work, notes):
    process = work("Note", "--isolation", "process", "-j", "3", "--set", "note.word=x")
    assert finish(process, lines(*range(30)))[0] == 0
    assert notes().count("configure x") == 3
    assert notes().count("clean_up") == 3


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_program_that_the_worker_starts_can_be_terminated(work, notes, isolation):
    process = work("Whatever", "--isolation", isolation)
    assert finish(process, lines("terminate"))[0] == 0
    assert notes() == ["terminate", "ended by SIGTERM"]


def test_retry_and_reject_and_results_come_back_from_a_process(work, notes):
    options = ("--isolation", "process", "--retries", "1", "--backoff", "0.001")
    status, out, err = finish(work("Whatever", *options), lines("retry", "reject", "event"))
    assert status == 1
    assert notes() == ["retry", "retry"]
    assert [event["type"] for event in out] == ["mine"]
    assert "(1 failed, 1 rejected)" in err


def test_a_worker_that_cannot_be_configured_in_its_process_ends_the_command(work):
    status, _, err = finish(work("BadConfigure", "--isolation", "process"), lines("x"))
    assert status == 78
    assert "cannot configure Worker 'tests.workers:BadConfigure': KeyError: 'host'" in err


def test_a_sigkill_leaves_no_process_behind(work, notes):
    process = work("Whatever", "--isolation", "process")
    process.stdin.write(lines("pid", ["sleep", 0.3]))
    process.stdin.flush()
    until(lambda: len(notes()) == 2, "the events")
    child = int(notes()[0].split()[1])
    process.kill()
    process.wait()

    def is_gone():
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        return (
            subprocess.run(["ps", "-o", "stat=", "-p", str(child)], capture_output=True).stdout[:1]
            == b"Z"
        )

    until(is_gone, "the child to end")


# systemd


def test_systemd_is_notified_of_ready_watchdog_and_stopping(work, tmp_path):
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(SECONDS)
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        process = work("Nop", env=env)
        heard = [manager.recv(100)]
        while heard.count(b"WATCHDOG=1") < 3:
            heard.append(manager.recv(100))
        finish(process)
        while b"STOPPING=1" not in heard:
            heard.append(manager.recv(100))
    assert heard[0].startswith(b"READY=1")


def test_json_messages_are_one_object_per_line(work):
    _, _, err = finish(work("Whatever", "--log-format", "json"), lines("fail"))
    said = [json.loads(line) for line in err.splitlines()]
    assert [each["level"] for each in said] == ["warning", "error"]
    assert {each["command"] for each in said} == {"flow-work"}


@pytest.mark.parametrize("through", ["", "flow-stdin | ", "flow-stdin --json | "])
def test_resume_processes_only_the_new_lines_of_a_grown_list(shell, through):
    work = f"{through}flow-work -q tests.workers:Echo --joblog jobs --resume | jq -c .data | sort"
    work = work.replace("jq -c .data", "grep -o '\"data\":[^,}]*'")
    assert shell(f"seq 5 | {work} | wc -l")[1].strip() == b"5"
    status, out, _ = shell(f"(echo 0; seq 3; echo 3; seq 4 5) | {work}")
    assert status == 0
    assert [line.strip(b'"').rpartition(b":")[2].strip(b'"') for line in out.split()] == [
        b"0",
        b"3",
    ]


def test_an_event_of_another_source_with_the_same_id_is_run(work, tmp_path):
    def of(source):
        return json.dumps({"specversion": "1.0", "id": "1", "source": source, "type": "t"}).encode()

    args = ("Echo", "--joblog", "jobs", "--resume")
    done = [len(finish(work(*args), of(source))[1]) for source in "abba"]
    assert done == [1, 1, 0, 0]
