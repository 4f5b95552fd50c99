"""Faults of the machine: disks, descriptors, threads, clocks, frozen and killed processes."""

import ast
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowtools.errors import ConfigurationError
from flowtools.source.vizone.state import StateFile
from tests.acks import Receiver
from tests.conftest import BIN, KILLS, ROOT, UNCOMPILED, environment
from tests.running import SECONDS, until
from tests.stomp_servers import Lines
from tests.vizone_servers import stand_in

MINE = """
import os, resource, time


class Fail:
    def start(self, event):
        raise ValueError("no")

class Nop:
    def start(self, event):
        return event

class Slow:
    def start(self, event):
        time.sleep(0.3)

class Killed:
    def start(self, event):
        if event.data == 2:
            os.kill(os.getpid(), 9)  # As the kernel does when memory is out.
        return event

class Holds:
    def start(self, event):
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            time.sleep(0.5)
        finally:
            for fd in held:
                os.close(fd)
"""


@pytest.fixture(autouse=True)
def workers(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)


@pytest.fixture
def inlet(tmp_path):
    with Receiver(tmp_path / "s") as inlet:
        yield inlet


def events(tmp_path, count):
    event = {"specversion": "1.0", "source": "s", "type": "t", "data": "x" * 200}
    for number in range(count):
        ackto = f"unix:{tmp_path}/s#e.{number}"
        yield json.dumps(event | {"id": str(number), "ackto": ackto}).encode() + b"\n"


def acknowledged(inlet):
    """The acknowledged numbers, once no more arrive."""
    numbers, refused = set(), []
    inlet.settimeout(0)
    while True:
        try:
            lines = inlet.recv(65536).decode().splitlines()
        except TimeoutError:
            assert refused == []
            return numbers
        for line in lines:
            token, verdict = line.split()
            (numbers.add if verdict == "ack" else refused.append)(int(token.partition(".")[2]))


# Disks


@pytest.mark.parametrize(
    ("option", "worker", "file"),
    [("--failed", "mine:Fail", "failed file"), ("--joblog", "mine:Nop", "job log")],
)
def test_a_full_disk_acknowledges_only_events_that_were_written(
    run, inlet, tmp_path, option, worker, file
):
    limit = resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY)
    status, _, err = run(
        *("flow-work", option, "kept", worker),
        input=b"".join(events(tmp_path, 40)),
        env=UNCOMPILED,
        preexec_fn=lambda: resource.setrlimit(*limit),
    )
    assert status == 1
    assert f"cannot write {file} 'kept': File too large" in err
    kept = [json.loads(line) for line in (tmp_path / "kept").read_bytes().splitlines()]
    assert 0 < len(kept) < 40
    assert acknowledged(inlet) == {int(each["id"]) for each in kept}


def test_a_full_disk_for_the_state_file_is_reported_and_the_listener_continues(start, tmp_path):
    with stand_in() as server:
        env = server.environment() | UNCOMPILED
        process = start("flow-listen-assets", "-v", "--state", "state", env=env)
        out, err = Lines(process.stdout), Lines(process.stderr)
        until(lambda: server._broker.has_subscriber("/topic/vizone.assets", 0))
        err.until(b"0 changes found")  # Replayed changes wait in a file, which must fit, too.
        until((tmp_path / "state").exists)
        before = (tmp_path / "state").read_bytes()
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (10, unlimited[1]))
        first = server.catalogue.create("one").urn
        assert first in out.next().decode()
        err.until(b"cannot write state file 'state': File too large")
        assert (tmp_path / "state").read_bytes() == before
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        until(lambda: (tmp_path / "state").read_bytes() != before)
        assert process.poll() is None


@contextmanager
def small_disk(tmp_path, options):
    """Mount a small file system at tmp_path/disk for one shell; return that shell's command."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount")
    (tmp_path / "disk").mkdir()
    mount = f"mount -t tmpfs -o {options} none disk && exec "
    yield lambda line: ["unshare", "--mount", "bash", "-o", "pipefail", "-c", mount + line]


def run_there(command, tmp_path, given=b""):
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input=given,
        capture_output=True,
        timeout=SECONDS * 2,
    )
    return done.returncode, done.stderr.decode()


def test_on_a_real_full_disk_the_other_events_stay_unacknowledged(inlet, tmp_path):
    with small_disk(tmp_path, "size=8k") as there:
        line = "bash -c 'flow-work --failed disk/failed mine:Fail; s=$?; cp disk/failed .; exit $s'"
        status, err = run_there(there(line), tmp_path, b"".join(events(tmp_path, 100)))
    assert status == 1
    assert "cannot write failed file 'disk/failed': No space left on device" in err
    kept = [json.loads(line) for line in (tmp_path / "failed").read_bytes().splitlines()]
    assert acknowledged(inlet) == {int(each["id"]) for each in kept}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("flow-work --joblog disk/log mine:Nop", 78, "cannot open job log 'disk/log'"),
        ("flow-work --failed disk/failed mine:Nop", 78, "cannot open failed file 'disk/failed'"),
        (
            (
                "flow-listen-assets --url http://127.0.0.1:9 --user u --password-file p"
                " --state disk/state"
            ),
            78,
            "cannot use state file 'disk/state'",
        ),
    ],
)
def test_a_read_only_directory_is_reported_before_the_first_event(tmp_path, line, status, said):
    (tmp_path / "p").write_text("x\n")
    with small_disk(tmp_path, "ro") as there:
        code, err = run_there(there(line), tmp_path, b"1\n")
    assert (code, said in err) == (status, True), err
    assert "Read-only file system" in err
    assert err.count("\n") == 1


# Descriptors and threads


@pytest.mark.parametrize("number", [5, 8, 11])
def test_running_out_of_file_descriptors_is_a_one_line_internal_error(run, number):
    status, out, err = run(
        "flow-stdin",
        input=b"1\n",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number)),
    )
    # Only the smallest number is too small for every Python.
    if number == 5 or status:
        assert (status, out) == (70, b"")
        assert err.count("\n") == 1
        assert "out of file descriptors: Too many open files" in err
    else:
        assert (out.count(b"\n"), err) == (1, "")


def test_a_worker_that_uses_up_all_descriptors_loses_no_acknowledgement(run, inlet, tmp_path):
    status, _, err = run(
        "flow-work",
        *("-j", "2", "mine:Holds"),
        input=b"".join(events(tmp_path, 4)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )
    assert status == 0, err
    assert acknowledged(inlet) == {0, 1, 2, 3}


def test_running_out_of_threads_keeps_the_events_read(run, tmp_path):
    event = b'{"specversion":"1.0","id":"%d","source":"s","type":"t"}\n'
    status, _, err = run(
        "flow-work",
        *("-j", "64", "--joblog", "log", "--failed", "failed", "mine:Slow"),
        input=b"".join(event % n for n in range(100)),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000)),
    )
    assert status == 70
    assert "cannot start a thread: can't start new thread" in err
    assert "Traceback" not in err
    logged = [json.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    done = [int(each["id"]) for each in logged if each["outcome"] == "done"]
    failed = [
        int(json.loads(line)["id"]) for line in (tmp_path / "failed").read_bytes().splitlines()
    ]
    assert failed
    assert sorted(done + failed) == [*range(100)]


def test_a_child_killed_for_memory_fails_only_its_event(run):
    status, out, err = run("flow-work", "--isolation", "process", "mine:Killed", input=b"1\n2\n3\n")
    assert status == 1
    assert [json.loads(line)["data"] for line in out.splitlines()] == [1, 3]
    assert "its process was killed by SIGKILL" in err


# Clocks

WALL = {
    "compat/timestamp.py": "the present, which a class asks for",
    "source/clock.py": "what sources ask, and tests replace",
    "core/event.py": "the time of an event",
    "core/times.py": "how long ago, as a person writes it",
    "process/statussocket.py": "when the command was started",
    "status/asking.py": "how long a command runs that does not answer",
    "worker/exceptions.py": "a date in Retry-After, which a Worker hands on",
    "process/screen.py": "the year that a person need not be shown",
    "process/message.py": "the time of a message, for people",
    "pool/once.py": "how long an event counts as done, over restarts",
    "pool/settlement.py": "when an attempt finished, for the job log",
    "pool/inflight.py": "how old an event is, by its own time (--retry-until)",
    "vizone/answer.py": "a date in Retry-After, where the answer has none of its own",
    "source/vizone/progress.py": "no mark beyond the present",
    "source/vizone/replay.py": "an asset from the future hides nothing",
    "source/vizone/shown.py": "no mark beyond the present",
    "source/vizone/listening.py": "--since 2h",
    "source/vizone/state.py": "a state file from the future is refused",
    "process/certificates.py": "the days that a certificate has left",
    "doctor/network.py": "the days that a certificate has left",
    "doctor/vizone.py": "the difference from the server's clock",
    "view/live.py": "the age of an event, for people",
    "view/viewer.py": "the same",
}
"""Modules that may read the wall clock, and the purpose; all deadlines are monotonic."""


def test_the_wall_clock_is_used_only_for_times_shown_to_people():
    users = {}
    for path in (ROOT / "flowtools").rglob("*.py"):
        name = str(path.relative_to(ROOT / "flowtools"))
        if not name.startswith("sim/"):
            users[name] = wall_clock_uses(ast.parse(path.read_text()))
    assert {name for name, uses in users.items() if uses} == set(WALL), {
        name: uses for name, uses in users.items() if uses
    }


def wall_clock_uses(tree):
    """The calls of time.time and datetime.now, under whatever name they were imported."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.asname or each.name: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            text = ast.unparse(node.func)
            first, dot, rest = text.partition(".")
            full = names.get(first, first) + dot + rest
            if full in ("time.time", "datetime.datetime.now", "datetime.datetime.utcnow"):
                found.append(f"{full}, line {node.lineno}")
    return found


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def jump(tmp_path):
    """An environment with a fake wall clock, and a function that sets it."""
    if FAKETIME is None:
        pytest.skip("libfaketime is not installed")
    given = tmp_path / "wall"

    def jump(offset):
        (tmp_path / "new").write_text(offset)
        (tmp_path / "new").replace(given)

    jump("+0")
    jump.env = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(given),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return jump


def test_a_clock_that_jumps_a_day_neither_stops_nor_floods_the_ticks(start, jump):
    process = start("flow-interval", "0.1", env=jump.env)
    lines = Lines(process.stdout)
    for offset in ("+0", "+1d", "-1d", "+0"):
        jump(offset)
        ticks = [json.loads(lines.next()) for _ in range(8)]
        assert sum(tick["data"]["skipped"] for tick in ticks) <= 20, ticks
        shown = datetime.fromisoformat(ticks[-1]["time"]) - datetime.now(UTC)
        days = {"+0": 0, "+1d": 1, "-1d": -1}[offset]
        assert abs(shown.total_seconds() - days * 86400) < 3600


def test_a_clock_that_jumps_a_day_ends_no_attempt_and_no_pace(start, jump):
    process = start(
        "flow-work",
        *("--timeout", "20", "--rate", "20/s", "--retries", "1", "mine:Nop"),
        stdin=subprocess.PIPE,
        env=jump.env,
    )
    lines = Lines(process.stdout)
    for offset in ("+1d", "-1d", "+0"):
        jump(offset)
        process.stdin.write(b"1\n2\n3\n4\n")
        process.stdin.flush()
        assert [json.loads(lines.next())["data"] for _ in range(4)] == [1, 2, 3, 4]
    process.stdin.close()
    assert process.wait(SECONDS) == 0


# Frozen processes


def test_freezing_any_process_of_a_pipeline_loses_nothing(tmp_path):
    line = (
        "flow-sim --assets 120 --rate 40 -- bash -o pipefail -c 'flow-listen-assets --ack worker"
        " --heart-beat 1,1 --count 120 | flow-work -j 4 mine:Nop > done'"
    )
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as pipeline:
        done = tmp_path / "done"
        until(lambda: done.exists() and done.stat().st_size)
        dice = random.Random(7)
        try:
            while pipeline.poll() is None and done.read_bytes().count(b"\n") < 80:
                for pid in commands_of(pipeline.pid):
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(dice.uniform(0.05, 0.2))
                    os.kill(pid, signal.SIGCONT)
            err = pipeline.communicate(timeout=SECONDS * 2)[1].decode()
        finally:
            pipeline.kill()
    assert pipeline.returncode == 0, err
    ids = [json.loads(line)["id"] for line in done.read_bytes().splitlines()]
    assert len(set(ids)) == 120


def commands_of(leader):
    """The processes of flow commands in a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                if os.getsid(int(folder.name)) == leader and str(BIN).encode() in b"".join(
                    words[:2]
                ):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


# SIGKILL at any instruction

SAVER = """
import os, sys
from flowtools.source.vizone.state import StateFile
file = StateFile(sys.argv[1], "assets", "http://one.example")
number = int(file.load()[0]) if file.load() else 0
while True:
    number += 1
    file.save(float(number), {f"{number}-{n}": float(number) for n in range(300)})
    os.write(1, b"%d\\n" % number)
"""


def test_a_state_file_survives_sigkill_at_any_moment(tmp_path):
    path = tmp_path / "state"
    dice = random.Random(7)
    said = 0
    for _ in range(3 * KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, path],
            stdout=subprocess.PIPE,
            env=environment(PYTHONPATH=str(ROOT)),
        ) as saver:
            saver.stdout.readline()
            time.sleep(dice.uniform(0, 0.03))
            saver.kill()
            said = int([b"%d" % said, *saver.stdout][-1])
        file = StateFile(path, "assets", "http://one.example")
        mark, seen, _ = file.load()
        file.close()
        assert mark >= said
        assert seen == {f"{int(mark)}-{n}": mark for n in range(300)}
    assert sorted(each.name for each in tmp_path.iterdir() if each.name != "state.new") == [
        "mine.py",
        "state",
        "state.lock",
    ]


def test_a_truncated_state_file_is_refused_and_left_unchanged(tmp_path):
    path = tmp_path / "state"
    file = StateFile(path, "assets", "http://one.example")
    file.save(5.0, {"a": 5.0})
    whole = path.read_bytes()
    for end in range(len(whole) - 2):
        path.write_bytes(whole[:end])
        with pytest.raises(ConfigurationError, match="it is damaged"):
            file.load()
        assert path.read_bytes() == whole[:end]
    file.close()
