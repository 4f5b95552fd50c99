"""Fixtures that every test file may use."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
from hypothesis import settings

from tests.running import SECONDS

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / "bin"

# A deadline would measure the machine. .ci/run tries every change with many examples.
settings.register_profile("quick", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=500)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
settings.load_profile(PROFILE)

KILLS = 5 if PROFILE == "thorough" else 2
"""The number of kills in tests that kill at random moments."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # `make test &` in a script ignores SIGINT, and processes started here would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

UNCOMPILED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For a process with a limit on file sizes: Python would leave truncated compiled modules, and
read them from then on."""


def environment(**extra):
    """The environment of a command: bin/ and this Python first on PATH, buffered output."""
    path = os.pathsep.join([str(BIN), str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("VIZONE_", "FLOW_"))}
    # PYTHONUNBUFFERED hides broken-pipe bugs, and many containers set it; without compiled
    # modules each process would compile its own.
    python = {"PYTHONUNBUFFERED": "", "PYTHONDONTWRITEBYTECODE": ""}
    return kept | python | {"PATH": path, "LC_ALL": "C.UTF-8", **extra}


@pytest.fixture(scope="session")
def forks():
    """The server that forks commands without starting Python: see tests/forks.py."""
    from tests.forks import Forks

    forks = Forks(environment())
    yield forks
    forks.close()


@pytest.fixture(autouse=True)
def _no_console():
    """Remove the console that a command run in this process leaves behind."""
    yield
    if "flowtools.process.console" in sys.modules:
        sys.modules["flowtools.process.console"].release()


def end(processes):
    """Kill processes that have not ended, and close our ends of their pipes."""
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture
def start(forks, tmp_path):
    """Start a command as a process; it is killed when the test ends.

    `start("flow-interval", "1", stdin=PIPE)` gives the Popen object: binary pipes for
    stdout and stderr, the working directory a temporary one, every keyword as Popen's.
    It is a fork, unless that would differ, as it does with `real=True`.
    """
    running = []

    def run(name, *args, env=None, real=False, **options):
        options = {"stdout": PIPE, "stderr": PIPE, "cwd": tmp_path} | options
        command = [BIN / name, *map(str, args)]
        env = environment(**(env or {}))
        if real or os.environ.get("STARTS") == "real" or not forks.can(command, env, options):
            process = subprocess.Popen(command, env=env, **options)
        else:
            process = forks.start(command, env=env, **options)
        running.append(process)
        return process

    yield run
    end(running)


@pytest.fixture
def run(start):
    """Run a command to its end: `run("flow-stdin", input=b"a\\n")` gives (status, out, err)."""

    def run_to_end(name, *args, input=b"", timeout=SECONDS, **options):
        process = start(name, *args, stdin=PIPE, **options)
        out, err = process.communicate(input, timeout=timeout)
        return process.returncode, out, err.decode()

    return run_to_end


@pytest.fixture
def shell(tmp_path):
    """Run a line in a real shell with bash's pipefail: gives (status, out, err).

    Processes that it leaves running are killed.
    """
    from contextlib import suppress

    def run_line(line, *, timeout=SECONDS, cwd=None, **extra):
        with subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=cwd or tmp_path,
            env=environment(**extra),
            stdin=subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, out, err.decode()

    return run_line


@pytest.fixture
def notes(tmp_path):
    """Read the lines that a Worker or Source has written so far into the file `notes.path`."""
    path = tmp_path / "notes"

    def read():
        return path.read_text().splitlines() if path.exists() else []

    read.path = path
    return read
