"""Acknowledgement in realistic pipelines: real commands in a real shell, killed by real signals."""

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.running import SECONDS, is_connected, until
from tests.stomp_servers import Lines

pytest_plugins = ["tests.stomp_fixtures"]

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")

WORKERS = """
import pathlib, time

class Done:
    def start(self, event):
        with open("done", "a") as file:
            file.write(f"{event['body']['n']}\\n")

class Slow(Done):
    def start(self, event):
        super().start(event)
        time.sleep(600)

class Fails:
    def start(self, event):
        raise ValueError("no such\\tcodec\\x07")
"""


@pytest.fixture
def pipeline(tmp_path):
    """Start a line in bash; return the process, which leads a session that is killed at the end."""
    (tmp_path / "mine.py").write_text(WORKERS)
    (tmp_path / "done").touch()
    running = []

    def start(line, **extra):
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=tmp_path,
            env=environment(**extra),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        process.errors = Lines(process.stderr)
        running.append(process)
        return process

    yield start
    for process in running:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        while process.errors.next() is not None:
            pass
        process.stderr.close()


def pids_of(command, session):
    """The processes of a session that run `command`."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):
            if os.getsid(int(each.name)) == session:
                words = (each / "cmdline").read_bytes().decode().split("\0")
                if command in [Path(word).name for word in words[:2]]:
                    found.append(int(each.name))
    return found


def deliver(peer, *numbers, **headers):
    for number in numbers:
        body = json.dumps({"n": number}).encode()
        peer.message(number, body, content_type="application/json", **headers)


def listening(script, *options):
    return " ".join(["flow-listen-stomp --ack worker", *options, f"'{script.url()}'"])


def acknowledged(peer, number):
    """The ids of the next `number` ACK frames."""
    return sorted(peer.read("ACK").headers["id"] for _ in range(number))


def test_plain_tee_is_detected_at_the_first_event_settled_twice(pipeline, script):
    process = pipeline(f"{listening(script)} | tee >(flow-work mine:Done) | flow-work mine:Done")
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1, 2)
    said = process.errors.until(b"settled twice").decode()
    assert "copy with flow-tee" in said
    assert "flow-work (process" in said


def test_flow_tee_acknowledges_after_both_branches_and_a_killed_branch_loses_nothing(
    pipeline, script, tmp_path
):
    process = pipeline(
        f"{listening(script)} | flow-tee >(flow-work mine:Slow) | flow-work mine:Done"
    )
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1)
    until(lambda: len((tmp_path / "done").read_text().split()) == 2)  # Both branches work on it.
    for pid in pids_of("flow-work", process.pid):
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"mine:Slow" in title:
            until(lambda pid=pid: is_connected(pid), "the connection to flow-tee")
            os.kill(pid, signal.SIGKILL)
    frames = peer.ended()
    assert [frame for frame in frames if frame.command == "ACK"] == []
    assert process.wait(SECONDS) != 0


@needs_jq
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_flow_work_behind_jq_is_noticed_and_the_pipe_ends(
    pipeline, script, tmp_path, number
):
    process = pipeline(
        f"{listening(script, '--prefetch', '4')} | jq --unbuffered -c . |"
        " flow-work --drain 0 mine:Slow"
    )
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1)
    until(lambda: (tmp_path / "done").read_text())
    (worker,) = pids_of("flow-work", process.pid)
    until(lambda: is_connected(worker), "the connection to the source")
    os.kill(worker, number)
    assert b"ended before it had settled all it took" in process.errors.until(b"connecting again")
    assert [frame for frame in peer.ended() if frame.command == "ACK"] == []
    again = script.accept()
    again.subscribed()
    deliver(again, 1, redelivered="true")  # jq writes it into a closed pipe, and ends.
    with suppress(OSError):
        deliver(again, 2)
    assert process.wait(SECONDS) != 0


SOURCE = """
class Two:
    def run(self, emit):
        emit({"body": {"n": 1}})
        emit({"body": {"n": 2}})

    def done(self, event, ok):
        pass
"""


def sourcing(folder):
    (folder / "two.py").write_text(SOURCE)
    return "flow-source --ack worker two:Two"


@needs_jq
def test_a_custom_source_notices_a_killed_flow_work_behind_jq(pipeline, tmp_path):
    process = pipeline(f"{sourcing(tmp_path)} | jq --unbuffered -c . | flow-work -j 2 mine:Slow")
    until(lambda: len((tmp_path / "done").read_text().split()) == 2)
    (worker,) = pids_of("flow-work", process.pid)
    until(lambda: is_connected(worker), "the connection to the source")
    os.kill(worker, signal.SIGKILL)
    process.errors.until(b"writing 2 events again: flow-work")
    assert process.wait(SECONDS) != 0  # jq wrote into a closed pipe; the source noticed its end.


def test_events_of_a_killed_flow_work_are_processed_by_the_next_one(pipeline, tmp_path):
    process = pipeline(
        f"{sourcing(tmp_path)} | sed -u '' | (flow-work -j 2 mine:Slow; flow-work mine:Done)"
    )
    until(lambda: len((tmp_path / "done").read_text().split()) == 2)
    (worker,) = pids_of("flow-work", process.pid)
    until(lambda: is_connected(worker), "the connection to the source")
    os.kill(worker, signal.SIGKILL)
    assert process.wait(SECONDS) == 0
    assert sorted((tmp_path / "done").read_text().split()) == ["1", "1", "2", "2"]


def test_events_dropped_by_flow_jq_are_acknowledged_and_idle_ends(pipeline, script, tmp_path):
    process = pipeline(
        f"{listening(script, '--idle', '1')} | flow-jq 'select(.data.body.n > 2)' |"
        " flow-work mine:Done"
    )
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1, 2, 3)
    assert acknowledged(peer, 3) == ["a1", "a2", "a3"]
    peer.goodbye()
    assert process.wait(SECONDS) == 0
    assert (tmp_path / "done").read_text() == "3\n"


def test_a_dead_letter_and_its_event_have_the_reason(pipeline, script, start):
    pipeline(f"{listening(script)} | flow-work --retries 1 --backoff 0.01 mine:Fails")
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1, receipt="x7")
    letters = script.accept()
    letters.login()
    letter = letters.read("SEND")
    headers = letter.headers
    assert headers["flow-error"].startswith("ValueError: no such")
    assert headers["flow-error"].isprintable()
    assert (headers["flow-attempts"], headers["flow-worker"]) == ("2", "mine:Fails")
    assert headers["flow-host"]
    assert headers["flow-failed-at"].endswith("Z")
    process = start("flow-listen-stomp", "--count", 1, script.url("/queue/a.failed"))
    reader = script.accept()
    reader.subscribed()
    names = {name.replace("-", "_"): text for name, text in headers.items()}
    names.pop("content_length", None)
    reader.message(1, letter.body, **names)
    event = json.loads(process.stdout.readline())
    assert event["flowerror"] == headers["flow-error"]
    assert (event["flowattempts"], event["flowfailedat"]) == (2, headers["flow-failed-at"])
    assert "receipt" not in event["data"]["headers"]
    process.kill()


def test_a_socket_whose_directory_was_removed_is_created_elsewhere(pipeline, script, tmp_path):
    runtime, temporary = tmp_path / "run", tmp_path / "tmp"
    for each in (runtime, temporary):
        each.mkdir(mode=0o700)
    process = pipeline(
        f"{listening(script)} | flow-work mine:Done",
        XDG_RUNTIME_DIR=str(runtime),
        TMPDIR=str(temporary),
    )
    peer = script.accept()
    peer.subscribed()
    deliver(peer, 1)
    assert acknowledged(peer, 1) == ["a1"]
    shutil.rmtree(runtime)
    process.errors.until(b"has been made again as")
    deliver(peer, 2)
    assert acknowledged(peer, 1) == ["a2"]  # Nothing was outstanding: the session continues.


def test_the_socket_of_a_killed_listener_is_removed_by_the_next_one(pipeline, script, tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    first = pipeline(f"exec {listening(script)}", XDG_RUNTIME_DIR=str(runtime))
    script.accept().subscribed()
    first.kill()
    first.wait(SECONDS)
    assert len([*runtime.glob("flow-*")]) == 1
    pipeline(f"exec {listening(script)}", XDG_RUNTIME_DIR=str(runtime))
    script.accept().subscribed()
    assert len([*runtime.glob("flow-*")]) == 1
