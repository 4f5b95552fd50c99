"""One name everywhere: the commands, their pages, tests and rows in the README agree."""

import os
import re
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SCRIPTS = PROJECT["project"]["scripts"]
SECTIONS = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "ENVIRONMENT",
    "FILES",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
]
NEEDED = {"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS", "EXAMPLES"}


def command(name):
    return getattr(import_module(f"flowtools.commands.{module_of(name)}"), "main")  # noqa: B009


def context_of(name):
    found = command(name)
    return click.Context(found, info_name=name, terminal_width=80, **found.context_settings)


def module_of(name):
    return name.removeprefix("flow-").replace("-", "_")


def page_of(name):
    return (ROOT / "man" / f"{name}.1").read_text()


def options_of(name):
    return {
        option
        for param in command(name).get_params(context_of(name))
        if param.param_type_name == "option"
        for option in (*param.opts, *param.secondary_opts)
    }


def test_every_command_has_an_entry_point_link_page_test_and_row():
    modules = {f"flow-{p.stem.replace('_', '-')}" for p in ROOT.glob("flowtools/commands/[!_]*.py")}
    rows = re.findall(r"^\| `(flow-[a-z-]+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(SCRIPTS) == sorted(modules)
    assert sorted(modules) == sorted(path.name for path in (ROOT / "bin").iterdir())
    assert sorted(modules) == sorted(path.stem for path in (ROOT / "man").glob("*.1"))
    assert sorted(modules) == sorted(rows)
    tests = {path.name for path in (ROOT / "tests").glob("test_*.py")}
    assert {f"test_{module_of(name)}.py" for name in modules} <= tests


@pytest.mark.parametrize("name", SCRIPTS)
def test_entry_point_and_link_start_the_right_command(name):
    assert SCRIPTS[name] == f"flowtools.commands.{module_of(name)}:main"
    assert command(name).name == name
    link = ROOT / "bin" / name
    assert link.is_symlink()
    assert str(link.readlink()) == "../flowtools/__main__.py"
    assert os.access(link, os.X_OK)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_names_exactly_the_options_of_the_command(name):
    section = page_of(name).split("\n.Sh OPTIONS\n")[1].split("\n.Sh ")[0]
    items = re.findall(r"^\.It (.*)$", section, re.MULTILINE)
    # `.Fl v , -verbose` puts a dash in front of each.
    found = {
        f"-{option}"
        for item in items
        for option in re.findall(r"(?:\bFl |, (?=-))(-?[A-Za-z][a-z-]*)", item)
    }
    assert found == options_of(name)


def items_of(name):
    """The description of each option on the page, by its long name.

    Options with a common description share it; "As in" refers to the description on another page.
    """
    lines = page_of(name).split("\n.Sh OPTIONS\n")[1].split("\n.Sh ")[0].splitlines()
    found, heads, depth = {}, [], 0
    for line in lines:
        depth += line.startswith(".Bl ") - line.startswith(".El")
        if depth == 1 and line.startswith(".It "):
            if heads and found[heads[-1]]:
                heads = []
            heads.append(re.findall(r"-([a-z][a-z-]+)", line)[-1])
            found[heads[-1]] = []
        elif heads:
            for head in heads:
                found[head].append(line)
    texts = {option: "\n".join(text) for option, text in found.items()}
    for option, text in texts.items():
        other = re.match(r"As in\n\.Xr (flow-[a-z-]+) 1", text)
        if other:
            texts[option] = items_of(other[1])[option]
    return texts


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_states_the_default_shown_in_the_help(name):
    items = items_of(name)
    untold = {}
    for param in command(name).get_params(context_of(name)):
        if isinstance(param, click.Option) and param.show_default and not param.is_flag:
            option = max(param.opts, key=len).removeprefix("--")
            default = param.default
            text = f"{default:g}" if isinstance(default, float) else re.escape(str(default))
            if isinstance(default, (str, int, float)) and not re.search(
                rf"(?<![\w.]){text}(?!\w|\.\d)", items[option]
            ):
                untold[option] = default
    assert untold == {}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_names_every_value_of_an_option(name):
    section = page_of(name).split("\n.Sh OPTIONS\n")[1].split("\n.Sh ")[0]
    text = section + "\n".join(items_of(name).values())
    choices = {
        value
        for param in command(name).get_params(context_of(name))
        if isinstance(param, click.Option) and isinstance(param.type, click.Choice)
        for value in param.type.choices
    }
    assert sorted(value for value in choices if not re.search(rf"\b{value}\b", text)) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_names_only_options_that_exist(name):
    mentioned = {f"-{o}" for o in re.findall(r"\bFl (-?[A-Za-z][a-z-]*)", page_of(name))}
    assert mentioned <= set().union(*map(options_of, SCRIPTS))


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_sections_of_the_page_are_in_order(name):
    page = page_of(name)
    sections = re.findall(r"^\.Sh (.+)$", page, re.MULTILINE)
    assert sections == [section for section in SECTIONS if section in sections]
    assert set(sections) >= NEEDED
    assert f"\n.Dt {name.upper()} 1\n" in page
    assert f"\n.Nm {name}\n" in page


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_names_only_pages_that_exist(name):
    ours = {f"{path.stem} {path.suffix[1:]}" for path in (ROOT / "man").iterdir()}
    named = re.findall(r"^\.Xr (flow[a-z-]* \d)", page_of(name), re.MULTILINE)
    assert set(named) <= ours


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_has_help_and_the_help_an_example(name):
    context = context_of(name)
    params = command(name).get_params(context)
    assert [p.name for p in params if p.param_type_name == "option" and not p.help] == []
    text = command(name).get_help(context)
    assert "\n  Examples:\n" in text
    assert re.search(rf"^    .*\b{name}\b", text, re.MULTILINE)
    assert [line for line in text.splitlines() if len(line) > 90] == []


TWO_MEANINGS = {
    "--failed": "where what fails is kept: a file of events; in flow-watch a folder of files",
    "--once": "the ids of events that are done, in a file; in flow-status one table, and no more",
    "--window": "hours of the day; in flow-send what STOMP and TCP call so",
    "--rate": "a bound, such as 10/s; in flow-sim how many changes there are a second",
}
"""Options that differ between commands, each with the reason."""


def test_an_option_is_the_same_in_every_command():
    forms, letters = {}, {}
    for name in SCRIPTS:
        for param in command(name).get_params(context_of(name)):
            if isinstance(param, click.Option):
                *short, long = sorted(param.opts, key=len)
                form = (param.metavar, param.is_flag, param.type.name, param.multiple)
                forms.setdefault(long, set()).add(form)
                for letter in short:
                    letters.setdefault(letter, set()).add(long)
    assert {long for long, found in forms.items() if len(found) > 1} == set(TWO_MEANINGS)
    assert {letter: found for letter, found in letters.items() if len(found) > 1} == {}


def test_the_overview_names_every_command():
    overview = (ROOT / "man" / "flowtools.7").read_text()
    see_also = overview.partition("\n.Sh SEE ALSO\n")[2]
    assert [name for name in SCRIPTS if f".Xr {name} 1 ,\n" not in see_also] == []


def test_the_wheel_installs_every_page_in_the_manual_path():
    shared = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    pages = sorted(path.name for path in (ROOT / "man").iterdir())
    assert shared == {f"man/{page}": f"share/man/man{page[-1]}/{page}" for page in pages}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_page_lists_the_common_exit_statuses(name):
    section = page_of(name).partition("\n.Sh EXIT STATUS\n")[2].partition("\n.Sh ")[0]
    statuses = set(re.findall(r"^\.It (\d+)$", section, re.MULTILINE))
    assert {"2", "70"} <= statuses
    # A command that writes lines may lose its reader (141), and may find the disk full (1).
    assert ("141" in statuses) <= ("1" in statuses)
