"""Behaviour common to all commands, tested for each."""

import json
import tomllib

import pytest

import flowtools
from flowtools.errors import Status
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMMANDS = sorted(PROJECT["scripts"])
FILTERS = {
    "flow-ack": "flow-ack",
    "flow-stdin": "flow-stdin",
    "flow-stdin --json": "flow-stdin --json",
    "flow-stdin --document": "flow-stdin --document",
    "flow-view": "flow-view",
    "flow-work": "flow-work tests.workers:Echo",
}
"""Commands that read standard input and need no server, each with its arguments."""


@pytest.mark.parametrize("name", COMMANDS)
def test_version_prints_the_command_name_and_the_common_version(run, name):
    assert run(name, "--version") == (0, f"{name}, version {flowtools.__version__}\n".encode(), "")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_begins_with_the_usage(run, name):
    status, out, err = run(name, "--help")
    assert (status, out.splitlines()[0].split()[:2], err) == (0, [b"Usage:", name.encode()], "")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_one_line_error(run, name):
    status, out, err = run(name, "--7777")
    assert (status, out) == (Status.USAGE, b"")
    assert err == f"{name}: no such option '--7777'; try '{name} --help'\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_misspelt_option_gets_a_suggestion(run, name):
    err = run(name, "--log-fromat", "json")[2]
    assert err.startswith(f"{name}: no such option '--log-fromat', perhaps ")
    assert "'--log-format'" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_one_object_in_json(run, name):
    status, out, err = run(name, "--log-format", "json", "--7777")
    assert (status, out, err.count("\n")) == (Status.USAGE, b"", 1)
    said = json.loads(err)
    assert (said["command"], said["level"]) == (name, "error")


@pytest.mark.parametrize("command", FILTERS.values(), ids=FILTERS)
def test_a_file_and_a_pipe_give_the_same_output(shell, tmp_path, command):
    events = [{"specversion": "1.0", "id": str(n), "source": "s", "type": "t"} for n in range(3)]
    (tmp_path / "lines").write_text("".join(json.dumps(event) + "\n" for event in events))
    (status, out, err), piped = (
        shell(f'{line} | sed \'s/"time":"[^"]*"//\'', PYTHONPATH=str(ROOT))
        for line in (f"{command} <lines", f"cat lines | {command}")
    )
    assert piped == (status, out, err)
    assert status == (Status.FAILED if command == "flow-ack" else 0)  # The events have no ackto.
    assert bool(out) != (command == "flow-ack")


@pytest.mark.parametrize("command", FILTERS.values(), ids=FILTERS)
def test_empty_input_causes_no_event_and_no_error(shell, command):
    status, out, err = shell(f"{command} </dev/null", PYTHONPATH=str(ROOT))
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == (1 if "--document" in command else 0)  # An empty document.
