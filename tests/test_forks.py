"""A fork made by tests/forks.py behaves like a process that was started separately."""

import json
import signal
import subprocess
from subprocess import DEVNULL, PIPE, STDOUT, TimeoutExpired

import pytest

from tests.conftest import end, environment
from tests.forks import Forks
from tests.running import SECONDS

SHOW = """
import json, os, resource, signal, sys, time
import flowtools
print(json.dumps({
    "argv": sys.argv,
    "path": sys.path,
    "executable": sys.executable,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "main": [__name__, __file__, sys.modules["__main__"].__file__],
    "input": sys.stdin.read(),
    "streams": [[each.encoding, each.errors, each.line_buffering] for each in (
        sys.stdin, sys.stdout, sys.stderr)],
    # libffi 3.5 keeps its own file open, once ctypes has been loaded.
    "descriptors": len([each for each in os.listdir("/proc/self/fd")
                        if "libffi" not in os.path.realpath(f"/proc/self/fd/{each}")]),
    "signals": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals())
                if "built-in" not in str(signal.getsignal(each))],
    "blocked": [*signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    "open files": resource.getrlimit(resource.RLIMIT_NOFILE),
    "mask": os.umask(0),
    "zone": time.tzname,
    "compiles": not sys.dont_write_bytecode,
}))
"""

WAYS = ("fork", "process")

ENDS = [
    "pass",
    "sys.exit(3)",
    "sys.exit('enough')",
    "sys.exit()",
    "sys.exit(None)",
    "raise ValueError('no')",
    "os._exit(4)",
    "os.kill(os.getpid(), signal.SIGTERM)",
    "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)",
    "sys.stdout.write('unflushed'); sys.stderr.write('as well')",
    "os.close(1); print('nobody reads this')",
    "atexit.register(print, 'last'); print('first'); sys.exit(2)",
    "threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start(); sys.exit(5)",
    "threading.Thread(target=time.sleep, args=(99,), daemon=True).start(); sys.exit(6)",
    "multiprocessing.Process(target=print, args=('of a child',)).start()",
    "import no_such_package",
]


@pytest.fixture
def begin(forks, tmp_path):
    """Start a script as a fork or as a process."""
    running = []

    def run(way, body, *args, **options):
        script = tmp_path / "script"
        script.write_text(f"#!/usr/bin/env python3\n{body}\n")
        script.chmod(0o755)
        given = {"env": environment(), "cwd": tmp_path, "stdout": PIPE, "stderr": PIPE} | options
        start = forks.start if way == "fork" else subprocess.Popen
        process = start([script, *args], **given)
        running.append(process)
        return process

    yield run
    end(running)


@pytest.fixture
def both(begin):
    """The result of a script as a fork and as a process: (status, stdout, stderr) of each."""

    def run(*args, text=None, **options):
        found = []
        for way in WAYS:
            process = begin(way, *args, **options)
            out, err = process.communicate(text, timeout=SECONDS)
            found.append((process.returncode, out, err))
        return found

    return run


def test_a_fork_has_the_environment_of_a_process(both, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    env = environment(
        TZ="Asia/Kathmandu",
        WORD="a b",
        PYTHONDONTWRITEBYTECODE="1",
        PYTHONPATH=f"{tmp_path}:/nowhere",
    )
    fork, process = both(
        SHOW,
        "one",
        "",
        "--three=\xe4",
        text=b"a\nb",
        stdin=PIPE,
        env=env,
        cwd=tmp_path / "elsewhere",
    )
    assert json.loads(fork[1]) == json.loads(process[1])
    assert json.loads(fork[1])["zone"] == ["+0545", "+0545"]
    assert fork == process


@pytest.mark.parametrize("body", ENDS)
def test_a_fork_ends_like_a_process(both, body):
    imports = "import atexit, multiprocessing, os, signal, sys, threading, time"
    fork, process = both(f"{imports}\n{body}", stdin=DEVNULL)
    assert fork[0] == process[0]
    assert fork[1] == process[1]
    # A fork's traceback also has lines of the forking process.
    assert fork[2].splitlines()[-1:] == process[2].splitlines()[-1:]


def test_the_streams_of_a_fork_can_be_redirected(both, tmp_path):
    with (tmp_path / "out").open("w+b") as file:
        fork, process = both(
            "import sys; print('out', flush=True); print('err', file=sys.stderr)",
            stdin=DEVNULL,
            stdout=file,
            stderr=STDOUT,
        )
    assert fork == process == (0, None, None)
    assert (tmp_path / "out").read_text() == "out\nerr\n" * 2


@pytest.mark.parametrize("way", WAYS)
def test_a_fork_can_be_waited_for_and_killed(begin, way):
    process = begin(way, "import time; print(1, flush=True); time.sleep(99)")
    assert process.stdout.readline() == b"1\n"
    assert process.poll() is None
    with pytest.raises(TimeoutExpired):
        process.wait(0.01)
    with pytest.raises(TimeoutExpired):
        process.communicate(timeout=0.01)
    process.send_signal(signal.SIGSTOP)
    process.kill()
    assert process.wait() == process.poll() == process.returncode == -signal.SIGKILL
    process.terminate()
    assert process.wait(0) == -signal.SIGKILL


@pytest.mark.parametrize("way", WAYS)
def test_communicate_survives_a_closed_stdin(begin, way):
    process = begin(way, "import sys; sys.stdin.read(1); sys.stdin.close()", stdin=PIPE)
    assert process.communicate(b"x" * 1_000_000, timeout=SECONDS) == (b"", b"")
    assert process.returncode == 0


def test_closing_the_server_kills_its_forks(tmp_path):
    script = tmp_path / "script"
    script.write_text("import time\nprint(1, flush=True)\ntime.sleep(99)")
    forks = Forks(environment())
    fork = forks.start([script], env=environment(), cwd=tmp_path, stdin=DEVNULL, stdout=PIPE)
    with fork.stdout:
        assert fork.stdout.readline() == b"1\n"
        forks.close()
        assert fork.stdout.read() == b""
    assert fork.wait(SECONDS) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("first_line", "env", "options", "can"),
    [
        ("#!/usr/bin/env python3", {}, {}, True),
        ("#!/usr/bin/env python3", {"PYTHONPATH": "/x", "A": "b"}, {"stdin": PIPE}, True),
        ("#!/usr/bin/env python3", {"PYTHONDONTWRITEBYTECODE": "1"}, {}, True),
        ("#!/bin/sh", {}, {}, False),
        ("#!/usr/bin/env python3", {}, {"start_new_session": True}, False),
        ("#!/usr/bin/env python3", {"LD_PRELOAD": "libfaketime.so"}, {}, False),
        ("#!/usr/bin/env python3", {"PYTHONUNBUFFERED": "1"}, {}, False),
        ("#!/usr/bin/env python3", {"LC_ALL": "C"}, {}, False),
    ],
)
def test_scripts_that_need_a_new_interpreter_are_not_forked(
    forks, tmp_path, first_line, env, options, can
):
    script = tmp_path / "script"
    script.write_text(f"{first_line}\n")
    assert forks.can([script], environment(**env), options) == can
