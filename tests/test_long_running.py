"""Every command that runs for long: it answers flow-status and SIGUSR1, and -vv says what it does.

`LONG` and `SHORT` together name every command of the package, so that a new one cannot be
forgotten.
"""

import json
import os
import pkgutil
import re
import signal
import tempfile
import time
from pathlib import Path
from subprocess import PIPE
from threading import Thread

import pytest

import flowtools.commands
from tests.conftest import ROOT
from tests.running import SECONDS, until

EVENT = b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":{"title":"x"}}\n'

QUEUE = "{STOMP}?destination=/queue/long"

LONG = {
    "flow-ack": [],
    "flow-failed": ["--replay", "{FAILED}"],
    "flow-interval": ["60"],
    "flow-jq": ["."],
    "flow-listen-assets": [],
    "flow-listen-files": ["xmlimport"],
    "flow-listen-stomp": [QUEUE],
    "flow-run": ["tests.long_running:Ticks"],
    "flow-send": ["{STOMP}?destination=/queue/other"],
    "flow-sim": ["--assets", "1", "--files", "1"],
    "flow-source": ["tests.long_running:Once"],
    "flow-stdin": [],
    "flow-tee": ["{FILE}"],
    "flow-view": ["--tee"],
    "flow-watch": ["{DIR}"],
    "flow-work": ["tests.workers:Echo"],
}
"""The arguments with which each long-running command has an event or waits for one."""

SHORT = {
    "flow-doctor": "each of its checks has a time limit",
    "flow-joblog": "it reads a file to its end",
    "flow-status": "it would list itself",
}
"""The commands that are not asked for their state, with the reason."""

SILENT = {"flow-sim", "flow-listen-assets", "flow-listen-files", "flow-failed"}
"""Commands whose event comes by itself, or not at all, in this test."""

FED = {"flow-ack", "flow-jq", "flow-send", "flow-stdin", "flow-tee", "flow-view", "flow-work"}
"""Commands that read events from standard input."""


def names():
    found = pkgutil.iter_modules(flowtools.commands.__path__)
    return {"flow-" + each.name.replace("_", "-") for each in found}


def test_every_command_is_known_to_run_for_long_or_not():
    assert names() == LONG.keys() | SHORT.keys()
    assert not LONG.keys() & SHORT.keys()
    assert names() == {each.name for each in (ROOT / "bin").iterdir()}


@pytest.fixture
def runtime():
    """A runtime directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lr") as folder:
        yield Path(folder)


class Running:
    """A long-running command, with everything that it has printed."""

    def __init__(self, process):
        self.process = process
        self.messages = []
        self.out = []
        self._threads = [
            Thread(target=self._read, args=pair, daemon=True)
            for pair in ((process.stderr, self.messages), (process.stdout, self.out))
        ]
        for each in self._threads:
            each.start()

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.decode())

    def has_said(self, pattern):
        return any(re.search(pattern, line) for line in list(self.messages))

    def end(self):
        self.process.kill()
        for each in self._threads:
            each.join(SECONDS)


@pytest.fixture
def sim(start, runtime):
    """The environment of a stand-in that runs."""
    process = start("flow-sim", real=True, env={"XDG_RUNTIME_DIR": str(runtime)})
    said = "".join(process.stdout.readline().decode() for _ in range(4))
    found = dict(re.findall(r"^export (\w+)=(\S+)$", said, re.MULTILINE))
    stomp = re.search(r"^# broker: (\S+)$", said, re.MULTILINE)[1]
    login = {"FLOW_USER": found["VIZONE_USER"], "FLOW_PASSWORD": found["VIZONE_PASSWORD"]}
    return found | login | {"STOMP": stomp}


@pytest.fixture
def launch(start, sim, runtime, tmp_path):
    """Start a command of LONG with the given options; gives a Running."""
    launched = []

    def begin(name, *options):
        (tmp_path / "failed.jsonl").write_bytes(EVENT)
        (tmp_path / "dir").mkdir()
        places = {
            "STOMP": sim["STOMP"],
            "FAILED": str(tmp_path / "failed.jsonl"),
            "FILE": str(tmp_path / "copy"),
            "DIR": str(tmp_path / "dir"),
        }
        arguments = [each.format(**places) for each in LONG[name]]
        env = sim | {"XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(ROOT)}
        process = start(name, *options, *arguments, env=env, stdin=PIPE, real=True)
        launched.append(Running(process))
        return launched[-1]

    yield begin
    for each in launched:
        each.end()


@pytest.fixture
def ask(run, runtime):
    """What flow-status says of a running command; None: nothing."""

    def said_of(running):
        _, out, _ = run("flow-status", "--json", env={"XDG_RUNTIME_DIR": str(runtime)})
        found = [json.loads(line) for line in out.splitlines()]
        pid = running.process.pid
        return next((each for each in found if each["pid"] == pid and each["answers"]), None)

    return said_of


def cause_an_event(name, running, run, sim, tmp_path):
    """Let an event reach the command."""
    if name in FED:
        running.process.stdin.write(EVENT)
        running.process.stdin.flush()
    if name == "flow-watch":
        (tmp_path / "dir/file").write_text("x")
    if name == "flow-listen-stomp":
        url = QUEUE.format(**sim)
        assert run("flow-send", url, input=EVENT, env=sim)[0] == 0


def details_of(name, running):
    return [line for line in list(running.messages) if line.startswith(f"{name}: ")]


@pytest.mark.parametrize("name", sorted(LONG))
def test_sigusr1_and_flow_status_are_answered_while_the_command_runs(
    name, launch, ask, run, sim, tmp_path
):
    running = launch(name, "-vv")
    process = running.process
    until(lambda: ask(running), f"the status socket of {name}")
    cause_an_event(name, running, run, sim, tmp_path)
    if name not in SILENT:
        until(lambda: ask(running)["last_event"] is not None, "the event")
    # The first message of -vv has only the version; there is more to say.
    until(lambda: len(details_of(name, running)) > 1, "the details of -vv")
    assert "version" in running.messages[0]
    process.send_signal(signal.SIGUSR1)
    # The pool names its threads by their work; other commands by their names.
    until(lambda: running.has_said(r"(state: |events? waiting; )"), "the state")
    until(lambda: running.has_said(r"(thread 'MainThread'|thread [0-9]+: )"), "the stacks")
    assert process.poll() is None
    said = ask(running)
    assert (said["command"], said["answers"]) == (name, True)
    assert said["figures"]


@pytest.mark.parametrize("name", sorted(LONG.keys() - SILENT))
def test_the_age_of_the_last_event_is_exact(name, launch, ask, run, sim, tmp_path):
    running = launch(name)
    until(lambda: ask(running), f"the status socket of {name}")
    cause_an_event(name, running, run, sim, tmp_path)
    if name in ("flow-send", "flow-ack"):
        until(lambda: ask(running)["last_event"] is not None, "the event")
    else:
        until(lambda: running.out or (tmp_path / "copy").exists(), "the output")
    since = time.monotonic()
    time.sleep(1.0)
    passed = time.monotonic() - since
    assert ask(running)["last_event"] >= passed - 0.001


@pytest.mark.parametrize("name", sorted(SHORT))
def test_sigusr1_does_not_kill_a_command_without_a_status_socket(name, start, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = {
        "flow-doctor": ["stomp://127.0.0.1:9/?destination=/queue/x", "--password-file", fifo],
        "flow-joblog": [fifo],
        "flow-status": ["--json"],
    }[name]
    process = start(name, *words, real=True)
    if name == "flow-status":
        assert process.wait(SECONDS) == 0
        return
    with fifo.open("wb"):  # Opened by now: the command has begun to work.
        process.send_signal(signal.SIGUSR1)
    assert process.wait(SECONDS) >= 0
