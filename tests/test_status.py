"""flow-status: the commands that run on this host, and their own reports."""

import json
import os
import signal
import socket
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import PIPE
from threading import Thread

import pytest

from flowtools.process.statussocket import StatusSocket, directories
from flowtools.process.vitals import FIGURES, Snapshot, Vitals
from flowtools.status.answers import answers
from flowtools.status.asking import State, _state
from flowtools.status.check import Limits, trouble_of
from flowtools.status.pipelines import name_of, pipelines
from tests.conftest import ROOT
from tests.running import SECONDS, freeze, until


@pytest.fixture
def runtime():
    """A runtime directory for this test, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="st") as folder:
        yield Path(folder)


@pytest.fixture
def place(runtime):
    """The environment in which status sockets are created in `runtime`."""
    return {"XDG_RUNTIME_DIR": str(runtime)}


@pytest.fixture
def status(run, place):
    def ask(*options):
        code, out, err = run("flow-status", *options, env=place)
        return code, out.decode(), err

    return ask


@pytest.fixture
def tick(start, place):
    """A running flow-interval that has written a tick."""
    process = start("flow-interval", "60", "--count", "2", env=place, real=True)
    assert process.stdout.readline()
    return process


def troubles_of(status, process, *limits):
    """What `flow-status --check` prints about a command; other suites' commands may be in trouble.

    On a busy machine, a command may fail to answer in time: then it is asked again.
    """
    mark = f"(pid {process.pid}): "

    def found():
        assert process.poll() is None
        lines = status("--check", *limits)[1].splitlines()
        said = [line.partition(mark)[2] for line in lines if mark in line]
        return None if said == ["does not answer"] else (said,)

    return until(found, "an answer")[0]


def report_of(status, process):
    found = [json.loads(line) for line in status("--json")[1].splitlines()]
    return next((each for each in found if each["pid"] == process.pid), None)


def test_a_running_command_is_listed_with_its_figures(status, tick):
    said = report_of(status, tick)
    assert (said["command"], said["answers"], said["trouble"]) == ("flow-interval", True, "")
    assert said["figures"]["events_out"] == 1
    assert said["last_event"] is not None
    assert 0 <= said["up"] < 60


def test_a_custom_source_is_listed_with_its_events_in_flight(status, start, place):
    place = place | {"PYTHONPATH": str(ROOT), "NOTES": os.devnull}
    options = ("--ack", "worker", "--prefetch", "3")
    process = start("flow-source", *options, "tests.sources:Flood", env=place, real=True)
    for _ in range(3):
        process.stdout.readline()
    figures = report_of(status, process)["figures"]
    known = {"events_out": 3, "in_flight": 3, "stalled_seconds": 0, "copied": 0}
    assert figures == known | {"oldest_seconds": 0}


def test_the_table_has_a_row_for_a_running_command(status, tick):
    code, out, err = status()
    rows = [line.split() for line in out.splitlines()]
    assert (code, err, rows[0][:3]) == (0, "", ["pipeline", "pid", "up"])
    assert any(str(tick.pid) in row for row in rows[1:])


def test_the_last_error_printed_by_a_command_is_shown(status, start, place):
    process = start("flow-stdin", "--json", stdin=PIPE, env=place, real=True)
    until(lambda: report_of(status, process))
    assert report_of(status, process)["last_error"] == ""
    process.stdin.write(b"no JSON\n")
    process.stdin.flush()
    printed = process.stderr.readline().decode()
    assert printed.startswith("flow-stdin: line 1: ")
    text = printed.removeprefix("flow-stdin: ").rstrip("\n")
    until(lambda: report_of(status, process)["last_error"] == text)
    # A long state is wrapped: its last word may be on the next line.
    assert f"ago: {text}" in " ".join(status()[1].split())


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_has_ended_is_no_longer_listed(status, tick, signum, runtime):
    assert report_of(status, tick)
    tick.send_signal(signum)
    tick.wait(SECONDS)
    assert report_of(status, tick) is None
    assert list((runtime / "flowtools").iterdir()) == []


def test_a_stopped_command_keeps_its_place_in_the_pipeline(status, start, place):
    source = start("flow-interval", "60", env=place, real=True)
    end = start("flow-work", "tests.workers:Echo", stdin=source.stdout, env=place, real=True)
    assert end.stdout.readline()
    freeze(source)
    said = report_of(status, source)
    assert (said["answers"], said["uid"]) == (False, os.geteuid())
    assert said["up"] > 0
    assert said["pipeline"] == "flow-interval | flow-work"
    source.send_signal(signal.SIGCONT)


def test_a_command_that_does_not_answer_is_reported(status, tick):
    freeze(tick)
    said = report_of(status, tick)
    assert (said["answers"], said["trouble"]) == (False, "does not answer")
    code, out, _ = status("--check")
    assert (code, f"(pid {tick.pid}): does not answer" in out) == (1, True)
    tick.send_signal(signal.SIGCONT)


def test_commands_joined_by_a_pipe_are_one_pipeline(status, start, place):
    source = start("flow-interval", "60", env=place, real=True)
    view = start("flow-work", "tests.workers:Echo", stdin=source.stdout, env=place, real=True)
    assert view.stdout.readline()
    # A command that runs user code replaces its stdout, which is then not the pipe.
    end = start("flow-work", "tests.workers:Nop", stdin=view.stdout, env=place, real=True)
    until(lambda: all(report_of(status, each) for each in (source, view, end)))
    for each in (source, view, end):
        assert report_of(status, each)["pipeline"] == "flow-interval | flow-work | flow-work"


def test_three_stopped_commands_of_ten_are_reported_and_the_others_answer(status, start, place):
    commands = [start("flow-interval", "60", env=place, real=True) for _ in range(10)]
    for each in commands:
        assert each.stdout.readline()
        until(lambda each=each: report_of(status, each))
    for each in commands[:3]:
        freeze(each)
    for each in commands[:3]:
        assert report_of(status, each)["trouble"] == "does not answer"
    for each in commands[3:]:
        until(lambda each=each: report_of(status, each)["answers"])
    for each in commands[:3]:
        each.send_signal(signal.SIGCONT)
        until(lambda each=each: report_of(status, each)["answers"])


@pytest.fixture
def listening(runtime):
    """Ten sockets at which somebody listens, by their path."""
    with ExitStack() as stack:
        made = {}
        for number in range(10):
            path = runtime / f"{number}-flow-x.sock"
            made[path] = stack.enter_context(socket.socket(socket.AF_UNIX))
            made[path].bind(str(path))
            made[path].listen(1)
        yield made


def test_commands_are_asked_side_by_side(listening):
    """The first one is answered after the last one has been asked."""

    def serve():
        with ExitStack() as stack:
            clients = [stack.enter_context(each.accept()[0]) for each in listening.values()]
            for each in clients:
                each.sendall(b"{}")
                each.sendall(b"\n")

    server = Thread(target=serve)
    server.start()
    assert dict(answers(listening)) == dict.fromkeys(listening, b"{}\n")
    server.join()


def test_commands_that_never_answer_have_one_time_limit_in_all(listening, monkeypatch):
    times = iter(range(1000))
    # A clock that advances by a second at each look: ten limits would need ten times as many.
    monkeypatch.setattr("flowtools.status.answers.monotonic", lambda: next(times))
    monkeypatch.setattr("flowtools.status.answers.ANSWER_SECONDS", 100)
    monkeypatch.setattr("flowtools.status.answers.wait", lambda *given, seconds: set())
    assert dict(answers(listening)) == dict.fromkeys(listening, b"")
    assert next(times) < 300


def test_more_commands_than_may_be_asked_at_once_are_all_asked(listening, monkeypatch):
    monkeypatch.setattr("flowtools.status.answers.AT_ONCE", 3)
    for each in listening.values():
        each.close()
    assert dict(answers(listening)) == dict.fromkeys(listening)


def test_a_command_with_many_waiting_clients_still_answers(listening):
    path, server = next(iter(listening.items()))
    with ExitStack() as stack:
        for _ in range(2):  # One more than `listen(1)` says: the kernel's limit.
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))

        def serve():
            for _ in range(3):
                client, _ = server.accept()
                with client, suppress(BrokenPipeError):
                    client.sendall(b"{}\n")

        thread = Thread(target=serve)
        asked = answers([path])
        thread.start()
        assert list(asked) == [(path, b"{}\n")]
        thread.join()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"rate": "fast", "up": 3}, {"rate": 0.0, "up": 3}),
        ({"figures": {"done": "many"}}, {"figures": {}}),
        ({"figures": {"done": 7}, "last_event": None}, {"figures": {"done": 7}}),
        ({"up": float("nan"), "about": ["x"]}, {"up": 0.0, "about": ""}),
        ({"pid": "x"}, {"answers": False}),
        ({"command": None}, {"answers": False}),
        ({"pid": 10**400, "up": 10**400}, {"answers": False, "up": 0.0}),
        ({"new": True}, {"answers": True}),
    ],
)
def test_an_answer_of_another_form_is_no_crash(said, expected):
    line = json.dumps({"command": "flow-x", "pid": 1} | said).encode()
    here = _state(Path(f"{os.getpid()}-flow-x.sock"), line)
    assert {name: getattr(here, name) for name in expected} == expected


def test_a_socket_that_does_not_listen_yet_is_left_alone(status, place, runtime):
    (runtime / "flowtools").mkdir(mode=0o700)
    path = runtime / "flowtools" / f"{os.getpid()}-flow-x.sock"
    with socket.socket(socket.AF_UNIX) as inlet:
        inlet.bind(str(path))
        status("--json")
        assert path.exists()


def test_check_says_nothing_of_a_command_without_trouble(status, tick):
    assert troubles_of(status, tick) == []


def test_silence_beyond_a_limit_is_trouble(status, tick):
    status("--check")  # This sample notices the new event.
    (trouble,) = troubles_of(status, tick, "--max-silence", "1ms")
    assert trouble.startswith("silent: no event for")
    assert troubles_of(status, tick, "--max-silence", "1h") == []


def test_an_old_event_counts_as_lag(status, start, place, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\n\n\nclass W:\n    def start(self, event):\n        time.sleep(1000)\n"
    )
    worker = start("flow-work", "slow:W", "--timeout", "0", stdin=PIPE, env=place, real=True)
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t"}
    worker.stdin.write(json.dumps(event | {"time": "2020-01-01T00:00:00Z"}).encode() + b"\n")
    worker.stdin.flush()
    until(lambda: (report_of(status, worker) or {"figures": {}})["figures"].get("lag_seconds"))
    (trouble,) = troubles_of(status, worker, "--max-lag", "1h")
    assert trouble.startswith("lag: the oldest event in flight happened")
    assert troubles_of(status, worker, "--max-lag", "900000h") == []


def test_a_worker_that_hangs_beyond_its_timeout_is_reported(status, start, place, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\n\n\nclass W:\n    def start(self, event):\n"
        "        while True:\n            try:\n                time.sleep(1)\n"
        "            except BaseException:\n                pass\n"
    )
    options = ("--timeout", "0.1", "--grace", "0.1", "-j", "2", "slow:W")
    worker = start("flow-work", *options, stdin=PIPE, env=place, real=True)
    worker.stdin.write(b"1\n")
    worker.stdin.flush()
    until(lambda: (report_of(status, worker) or {"trouble": ""})["trouble"])
    trouble = report_of(status, worker)["trouble"]
    assert trouble == "stuck: 1 thread hangs in the Worker beyond its time-out"


@pytest.mark.parametrize("given", ["soon", "-1", ""])
def test_a_malformed_limit_is_refused(status, given):
    code, _, err = status("--check", "--max-lag", given)
    said = "is not in the range" if given == "-1" else "is not a length of time"
    assert (code, said in err) == (2, True)


def test_sigusr1_prints_state_and_stacks_and_the_command_continues(start, place):
    process = start("flow-interval", "0.2", env=place, real=True)
    process.stdout.readline()
    process.send_signal(signal.SIGUSR1)
    lines = [process.stderr.readline().decode()]
    while "thread 'MainThread'" not in lines[-1]:
        lines.append(process.stderr.readline().decode())
    assert lines[0].startswith("flow-interval: state: events_out ")
    assert process.stdout.readline()
    assert process.poll() is None


def test_a_silent_client_of_the_status_socket_delays_no_other(status, tick, runtime):
    (path,) = (runtime / "flowtools").glob(f"{tick.pid}-*.sock")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for each in clients:
        each.connect(str(path))
    assert report_of(status, tick)["answers"]
    for each in clients:
        each.close()


def test_the_status_socket_is_private_to_the_user(tick, runtime):
    folder = runtime / "flowtools"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o777 == 0o600 for each in folder.iterdir())


def test_a_command_works_without_a_status_socket(run, tmp_path):
    long = tmp_path / ("x" * 200)
    long.mkdir()
    env = {"XDG_RUNTIME_DIR": str(long), "TMPDIR": str(long)}
    code, out, err = run("flow-interval", "9", "--count", "1", env=env, real=True)
    assert (code, out.count(b"\n"), err) == (0, 1, "")


def test_the_status_socket_of_an_ended_process_is_removed_by_the_next(runtime, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    gone = subprocess.Popen(["true"], stdout=PIPE)
    gone.communicate()
    folder = runtime / "flowtools"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / f"{gone.pid}-flow-x.sock"))
    status = StatusSocket("flow-test", Vitals())
    status.start()
    assert [each.name for each in folder.iterdir()] == [f"{os.getpid()}-flow-test.sock"]
    status.close()
    assert list(folder.iterdir()) == []


def test_services_use_the_runtime_directory_of_their_unit(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/flowtools/tag.service:/run/other")
    assert str(directories()[0]) == "/run/flowtools/tag.service"
    assert "/run/other" not in map(str, directories())


def state(pid, stdin="", stdout="", **more):
    command = more.pop("command", f"flow-{pid}")
    return State(command=command, pid=pid, stdin=stdin, stdout=stdout, **more)


def test_pipelines_are_ordered_from_their_source_to_their_end():
    states = [state(3, "b"), state(9), state(2, "a", "b"), state(1, "", "a"), state(7, "z", "y")]
    chains = [[each.pid for each in chain] for chain in pipelines(states)]
    assert sorted(chains) == [[1, 2, 3], [7], [9]]


def test_commands_joined_in_a_circle_are_listed_once():
    chains = pipelines([state(1, "b", "a"), state(2, "a", "b")])
    assert sorted(each.pid for chain in chains for each in chain) == [1, 2]


def test_a_pipeline_is_named_after_its_unit():
    assert name_of([state(1), state(2, unit="tag.service")]) == "tag.service"
    assert name_of([state(1), state(2)]) == "flow-1 | flow-2"


@pytest.mark.parametrize(
    ("figures", "trouble"),
    [
        ({}, ""),
        ({"connected": 1}, ""),
        ({"connected": 0}, "not connected: refused"),
        ({"stalled_seconds": 70}, "stalled: nothing settled for 70 s while the window is full"),
        ({"paused": 1}, "paused: the server behind the Worker is down"),
        ({"oldest_seconds": 61}, "lag: the oldest event in flight was taken 61 s ago"),
        ({"oldest_seconds": 59}, ""),
        ({"lag_seconds": 61}, "lag: the oldest event in flight happened 61 s ago"),
        ({"lag_seconds": 59, "oldest_seconds": 1}, ""),
        ({"stuck": 1, "wedged": 0}, "stuck: 1 thread hangs in the Worker beyond its time-out"),
        ({"stuck": 1, "wedged": 1}, "wedged: 1 thread hangs in the Worker beyond its time-out"),
        ({"stuck": 4, "wedged": 1}, "wedged: 4 threads hang in the Worker beyond its time-out"),
    ],
)
def test_figures_that_count_as_trouble_are_reported(figures, trouble):
    here = state(1, figures=figures, connection="refused")
    assert trouble_of(here, Limits(max_lag=60)) == trouble


def test_the_rate_covers_the_last_minute_and_the_last_event_has_an_age():
    vitals, events = Vitals(), [0]
    vitals.provide("events_out", lambda: events[0])
    vitals.sample()
    assert vitals.snapshot().last_event is None
    events[0] = 10
    now = vitals.snapshot()
    assert (now.rate > 0, now.last_event < 60, now.figures) == (True, True, {"events_out": 10.0})


def test_a_failed_event_is_an_event():
    vitals, failed = Vitals(), [0]
    vitals.provide("done", lambda: 0)
    vitals.provide("failed", lambda: failed[0])
    vitals.sample()
    failed[0] = 3
    now = vitals.snapshot()
    assert (now.rate > 0, now.last_event) == (True, pytest.approx(0, abs=60))


def test_figures_are_provided_only_inside_their_block():
    vitals = Vitals()
    with vitals.providing(in_flight=lambda: 3, oldest_seconds=lambda: None):
        assert vitals.snapshot().figures == {"in_flight": 3.0}
    assert vitals.snapshot().figures == {}


def test_a_disconnected_standby_is_not_trouble():
    assert Snapshot(figures={"connected": 0, "is_holder": 0}).trouble() == ""


@pytest.mark.parametrize("name", FIGURES)
def test_figures_have_names_valid_in_prometheus(name):
    assert FIGURES[name].help.endswith(".")
    assert name.isidentifier()
    assert name == name.lower()
