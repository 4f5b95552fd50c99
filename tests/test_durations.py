"""Lengths of time: in every command, in profiles, with and without a unit."""

import importlib
import re

import click
import pytest

from flowtools.cli.binding import Duration
from flowtools.core.times import parse_duration
from flowtools.errors import ConfigurationError
from flowtools.run.profile import seconds
from flowtools.sim.faults import Rates
from flowtools.stomp.settings import parse_heart_beat
from tests.conftest import ROOT

COMMANDS = sorted(path.stem for path in (ROOT / "flowtools/commands").glob("[!_]*.py"))

OTHERS = {"--heart-beat", "--settle-for"}
"""Options in which seconds are part of a longer value."""


def parameters():
    for name in COMMANDS:
        for each in importlib.import_module(f"flowtools.commands.{name}").main.params:
            yield name, each


LENGTHS = [(name, each) for name, each in parameters() if isinstance(each.type, Duration)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("5m", 300.0),
        ("2h", 7200.0),
        ("1.5h", 5400.0),
        ("1h30m", 5400.0),
        ("1d", 86400.0),
        ("1w", 604800.0),
        (" 5M ", 300.0),
    ],
)
def test_a_length_is_a_number_or_has_units(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "s", "5x", "5 m", "-5", "-5m", "nan", "inf", "1h-5m", "m5"])
def test_a_malformed_length_of_time_is_named(text):
    with pytest.raises(ValueError, match=re.escape(f"'{text}' is not a length of time such as")):
        parse_duration(text)


def test_every_option_in_seconds_accepts_a_unit():
    found = {
        f"{name} {each.opts[0]}"
        for name, each in parameters()
        if "SECONDS" in (each.metavar or each.name.upper())
        and each.opts[0] not in OTHERS
        and not isinstance(each.type, Duration)
    }
    assert found == set()
    assert len(LENGTHS) > 40


@pytest.mark.parametrize(("name", "parameter"), LENGTHS, ids=lambda it: getattr(it, "name", it))
def test_an_option_accepts_units_and_names_a_malformed_length(name, parameter):
    context = click.Context(click.Command(name))
    assert parameter.type.convert("1m", parameter, context) == 60.0
    assert parameter.type.convert("0.5", parameter, context) == 0.5
    assert parameter.type.convert("1e3", parameter, context) == 1000.0
    assert parameter.type.convert(7, parameter, context) == 7.0
    with pytest.raises(click.BadParameter, match="'5y' is not a length of time") as raised:
        parameter.type.convert("5y", parameter, context)
    assert raised.value.param is parameter


@pytest.mark.parametrize("name", sorted({name for name, _ in LENGTHS}))
def test_help_and_manual_page_explain_units_once(name, run):
    command = "flow-" + name.replace("_", "-")
    _, out, _ = run(command, "--help")
    assert out.decode().count("SECONDS may have a unit") == 1
    page = (ROOT / f"man/{command}.1").read_text()
    assert page.count("a length of time with a unit such as") == 1


def test_a_malformed_length_on_the_command_line_is_a_one_line_error(run):
    status, out, err = run("flow-work", "--timeout", "5x", "mymod:Tag")
    assert (status, out) == (2, b"")
    assert err == (
        "flow-work: invalid value for '--timeout': '5x' is not a length of time such as 90, 90s,"
        " 5m, 2h or 1h30m; try 'flow-work --help'\n"
    )


def test_a_timeout_with_a_unit_applies(run, tmp_path):
    (tmp_path / "mymod.py").write_text(
        "import time\nclass Slow:\n    def start(self, event):\n        time.sleep(60)\n"
    )
    status, _, err = run("flow-work", "--timeout", "100ms", "mymod:Slow", input=b"1\n")
    assert status == 1
    assert "0.1 s" in err


def test_heart_beats_and_the_clock_of_the_stand_in_accept_units():
    assert parse_heart_beat("500ms,1m") == (0.5, 60.0)
    assert Rates.parse("clock=-2h").clock == -7200.0
    assert Rates.parse("clock=90s").clock == 90.0


def test_a_profile_accepts_units():
    assert seconds("5m", "[Source] interval") == 300.0
    assert seconds("0.5", "[Source] interval") == 0.5
    assert seconds("1e3", "[Source] interval") == 1000.0
    with pytest.raises(ConfigurationError) as raised:
        seconds("5x", "[Source] interval")
    assert str(raised.value) == (
        "[Source] interval: '5x' is not a number from 0 up, nor a length of time such as"
        " 90s, 5m or 2h"
    )


def test_a_profile_with_units_runs(run, tmp_path):
    (tmp_path / "mymod.py").write_text(
        "from flowtools.source.interval import Interval\n"
        "class Tick:\n    SOURCE = Interval\n    def start(self, event):\n"
        "        return event.subject\n"
    )
    (tmp_path / "p.ini").write_text(
        "[Flow]\napp name = t\nclass = mymod.Tick\nworker_timeout = 1m\n"
        "[Source]\ninterval = 10ms\n[Stomp]\nheartbeat timeout = 1m\n"
    )
    status, out, err = run("flow-run", "p.ini", "--count", "2")
    assert (status, err) == (0, "")
    assert out.count(b'"0.01s"') >= 2
