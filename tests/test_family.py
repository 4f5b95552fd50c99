"""What every command does alike, tried on each: no command is told apart here."""

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
"""What reads standard input and needs no server, each as it is started."""


@pytest.mark.parametrize("name", COMMANDS)
def test_it_says_its_name_and_the_version_of_all(run, name):
    assert run(name, "--version") == (0, f"{name}, version {flowtools.__version__}\n".encode(), "")


@pytest.mark.parametrize("name", COMMANDS)
def test_its_help_begins_with_how_it_is_called(run, name):
    status, out, err = run(name, "--help")
    assert (status, out.splitlines()[0].split()[:2], err) == (0, [b"Usage:", name.encode()], "")


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_not_there_is_one_line_in_its_name(run, name):
    status, out, err = run(name, "--7777")
    assert (status, out) == (Status.USAGE, b"")
    assert err == f"{name}: no such option '--7777'; try '{name} --help'\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_that_is_spelt_wrong_is_told_what_is_near(run, name):
    err = run(name, "--log-fromat", "json")[2]
    assert err.startswith(f"{name}: no such option '--log-fromat', perhaps ")
    assert "'--log-format'" in err


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_as_json_is_one_object(run, name):
    status, out, err = run(name, "--log-format", "json", "--7777")
    assert (status, out, err.count("\n")) == (Status.USAGE, b"", 1)
    said = json.loads(err)
    assert (said["command"], said["level"]) == (name, "error")


@pytest.mark.parametrize("command", FILTERS.values(), ids=FILTERS)
def test_a_file_and_a_pipe_are_the_same_to_it(shell, tmp_path, command):
    events = [{"specversion": "1.0", "id": str(n), "source": "s", "type": "t"} for n in range(3)]
    (tmp_path / "lines").write_text("".join(json.dumps(event) + "\n" for event in events))
    (status, out, err), piped = (
        shell(f'{line} | sed \'s/"time":"[^"]*"//\'', PYTHONPATH=str(ROOT))
        for line in (f"{command} <lines", f"cat lines | {command}")
    )
    assert piped == (status, out, err)
    assert status == (Status.FAILED if command == "flow-ack" else 0)  # They have no ackto.
    assert bool(out) != (command == "flow-ack")


@pytest.mark.parametrize("command", FILTERS.values(), ids=FILTERS)
def test_no_input_is_no_event_and_no_error(shell, command):
    status, out, err = shell(f"{command} </dev/null", PYTHONPATH=str(ROOT))
    assert (status, err) == (0, "")
    assert len(out.splitlines()) == (1 if "--document" in command else 0)  # An empty one.
