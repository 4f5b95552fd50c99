"""docs/operating.md: its commands, run on a pipeline with failures, a hang and dead letters."""

import json
import os
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment
from tests.documents import examples
from tests.queues import LOGIN, Queue
from tests.running import SECONDS, until

PAGE = ROOT / "docs" / "operating.md"
BLOCKS = [each.text.strip() for each in examples(PAGE)]
WORKER = """\
import pathlib, time

class Tag:
    def start(self, event):
        number = event["body"]["n"]
        if number == 100:
            time.sleep(600)
        if number < 5:
            raise LookupError(f"asset {number} not found")
        if number < 8 and not pathlib.Path("mended").exists():
            raise OSError(f"HTTP 503 for {number}")
"""


class Morning:
    """A pipeline in which some events have failed and one hangs."""

    def __init__(self, folder, runtime):
        self.folder = folder
        (folder / "mymod.py").write_text(WORKER)
        self.queue = Queue("/queue/jobs")
        self.dead = f"{self.queue.name}.failed"
        self.env = LOGIN | {"XDG_RUNTIME_DIR": runtime, "QUEUE": self.queue.url, "PYTHONPATH": "."}
        self.pipeline = subprocess.Popen(
            ["bash", "-c", BLOCKS[0]],
            cwd=folder,
            env=environment(**self.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for number in (*range(20), 100):
            body = json.dumps({"n": number}).encode()
            self.queue.put(body, content_type="application/json")
        until(lambda: self.outcomes().count('"done"') == 12)
        until(lambda: len(self.failed()) == 8)
        for number in range(3):
            self.dead_letter(number, "HTTP 503 for 1")
        self.dead_letter(3, "asset 3 not found")

    def pid(self):
        """The process id of its flow-work."""
        states = map(json.loads, self.run("flow-status --json")[1].splitlines())
        works = [each["pid"] for each in states if each["about"] == "mymod:Tag"]
        (ours,) = [pid for pid in works if Path(f"/proc/{pid}/cwd").resolve() == self.folder]
        return ours

    def close(self):
        os.killpg(self.pipeline.pid, signal.SIGKILL)
        self.pipeline.wait()
        self.queue.close()

    def dead_letter(self, number, error):
        body = json.dumps({"n": number + 200}).encode()
        said = {"flow_error": error, "flow_refused_at": "2026-01-01T00:00:00Z"}
        self.queue.put(body, self.dead, content_type="application/json", **said)

    def outcomes(self):
        log = self.folder / "joblog.jsonl"
        return log.read_text() if log.exists() else ""

    def failed(self):
        file = self.folder / "failed.jsonl"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, line):
        """Run a line of the page; return (status, out, err)."""
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=environment(**self.env),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def morning(tmp_path):
    with tempfile.TemporaryDirectory(prefix="op") as runtime:
        made = Morning(tmp_path, runtime)
        yield made
        made.close()


def block(word):
    (found,) = [each for each in BLOCKS if word in each]
    return found


def test_flow_status_shows_what_runs(morning):
    status, out, _ = morning.run(block("--once"))
    assert status == 0
    assert any(
        "flow-work mymod:Tag" in line and str(morning.pid()) in line for line in out.splitlines()
    )


def test_flow_status_check_reports_stuck_and_lagging_commands(morning):
    """One event hangs, which is reported once it exceeds the limit."""
    (quick,) = [each for each in BLOCKS if each.endswith("--check")]
    until(lambda: f"(pid {morning.pid()})" not in morning.run(quick)[1])
    asked = block("--max-lag").replace("5m", "1ms")
    until(lambda: f"(pid {morning.pid()}): lag" in morning.run(asked)[1])


def test_flow_joblog_sums_up_the_night(morning):
    status, out, err = morning.run(block("flow-joblog"))
    assert (status, err) == (0, "")
    assert "done" in out
    assert "failed" in out


def test_flow_failed_shows_why_events_failed(morning):
    (line,) = [each for each in BLOCKS if each == "flow-failed failed.jsonl"]
    status, out, err = morning.run(line)
    assert (status, err) == (0, "")
    assert [row.split()[0] for row in out.splitlines()[1:] if row[:8].strip()] == ["5", "3"]


def test_dead_letters_and_queues_can_be_inspected(morning):
    status, out, err = morning.run(block("--since 12h").replace("12h", "2025-01-01"))
    assert (status, err) == (0, "")
    assert [row.split()[0] for row in out.splitlines()[1:]] == ["3", "1"]
    status, out, err = morning.run(block("--browse"))
    assert (status, err, len(out.splitlines())) == (0, "", 4)
    assert len(morning.queue.waiting(morning.dead)) == 4


def test_failed_events_can_be_replayed_and_dropped(morning):
    (morning.folder / "mended").touch()
    again, back = [each for each in BLOCKS if "--replay" in each]
    assert morning.run(again)[0] == 0
    assert len(morning.failed()) == 5
    assert morning.run(back)[0] == 0
    assert len(morning.queue.waiting(morning.dead)) == 1
    until(lambda: morning.outcomes().count('"done"') == 15)
    assert morning.run(block("--drop"))[0] == 0
    assert morning.failed() == []


def test_every_command_of_the_page_is_tested():
    tests = Path(__file__).read_text()
    tried = ("--once", "--check", "--max-lag", "flow-joblog", "--since 12h", "--browse", "--drop")
    assert all(word in tests for word in tried)
    rest = [each for each in BLOCKS[1:] if not any(word in each for word in tried)]
    assert sorted(each.partition("--replay")[1] for each in rest) == ["", "--replay", "--replay"]
