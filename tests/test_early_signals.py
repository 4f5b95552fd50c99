"""Control-C while a command starts, or ends: it dies by the signal, without a word."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib

import pytest

from tests.conftest import BIN, ROOT, environment
from tests.stomp_servers import SECONDS

COMMANDS = sorted(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])

CLICK = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""
"""A module that interrupts whoever imports it."""

INSTALLED = """
import sys
sys.argv[0] = "{name}"
from flowtools.commands.{module} import main
sys.exit(main())
"""
"""What the script of an installed command does."""


@pytest.fixture
def interrupted(tmp_path):
    """The environment in which a command is interrupted while it imports click."""
    (tmp_path / "click.py").write_text(CLICK)
    return environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")


def end_of(command, env):
    ended = subprocess.run(command, env=env, capture_output=True, timeout=SECONDS, cwd="/")
    return ended.returncode, ended.stdout, ended.stderr.decode()


@pytest.mark.parametrize("name", COMMANDS)
def test_control_c_while_a_command_imports_ends_it_quietly(interrupted, name):
    assert end_of([BIN / name, "--help"], interrupted) == (-signal.SIGINT, b"", "")


@pytest.mark.parametrize("name", ["flow-work", "flow-listen-stomp"])
def test_so_does_it_for_an_installed_command_and_for_a_module(interrupted, name):
    module = name.removeprefix("flow-").replace("-", "_")
    script = INSTALLED.format(name=name, module=module)
    for words in (["-c", script], ["-m", "flowtools", name.removeprefix("flow-")]):
        assert end_of([sys.executable, *words], interrupted) == (-signal.SIGINT, b"", "")
    words = ["-m", f"flowtools.commands.{module}"]
    assert end_of([sys.executable, *words], interrupted) == (-signal.SIGINT, b"", "")


def test_a_signal_that_is_ignored_from_the_start_stays_ignored(interrupted, tmp_path):
    (tmp_path / "click.py").write_text(CLICK.replace("time.sleep(60)", "raise SystemExit(7)"))
    env = ["env", "--ignore-signal=INT"]
    assert end_of([*env, BIN / "flow-ack", "--help"], interrupted) == (7, b"", "")


def test_a_program_that_imports_a_command_keeps_its_own_handler():
    script = (
        "import signal, flowtools.commands.work;"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    env = environment(PYTHONPATH=str(ROOT))
    assert end_of([sys.executable, "-c", script], env) == (0, b"True\n", "")


@pytest.mark.parametrize("name", ["flow-interval", "flow-work", "flow-jq"])
def test_control_c_at_any_moment_prints_no_traceback_of_ours(start, name):
    words = {"flow-interval": ["60"], "flow-work": ["tests.workers:Echo"], "flow-jq": ["."]}[name]
    for step in range(20):
        process = start(name, *words, stdin=subprocess.PIPE, real=True)
        time.sleep(step * 0.015)
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=SECONDS)[1].decode()
        # Python has its handler before it runs code of ours: a signal from that time is raised at
        # the first line of the script, before anything can be caught.
        assert re.findall(rf'{ROOT}/\S+", line \d+, in (?!<module>)', err) == []
        assert f"{ROOT}/flowtools/" not in err
        assert process.returncode == -signal.SIGINT or "Traceback" in err
