"""docs/guarantees.md names tests that exist, and every option of every command."""

import re
import tomllib
from importlib import import_module

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "guarantees.md").read_text()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PROOFS = re.findall(r"`([a-z_/]+): ([a-z_0-9]+)`", TEXT)


@pytest.mark.parametrize("file", sorted({file for file, _ in PROOFS}))
def test_every_test_that_is_named_exists(file):
    folder, _, name = file.rpartition("/")
    code = (ROOT / "tests" / folder / f"test_{name}.py").read_text()
    there = set(re.findall(r"^def test_(\w+)", code, re.MULTILINE))
    assert [test for other, test in PROOFS if other == file and test not in there] == []


def test_every_command_is_there_and_has_a_section_besides_that_of_all():
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    everyone = next(text for text in sections if text.startswith("Every command\n"))
    assert set(re.findall(r"flow-[a-z-]+", head_of(everyone))) == set(SCRIPTS)
    of_some = " ".join(head_of(text) for text in sections if text is not everyone)
    assert set(re.findall(r"flow-[a-z-]+", of_some)) == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_is_in_a_section_of_its_command(name):
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    own = "".join(text for text in sections if re.search(rf"{name}\b(?!-)", head_of(text)))
    module, _, function = SCRIPTS[name].partition(":")
    options = getattr(import_module(module), function).params
    spelt = [max(p.opts, key=len) for p in options if p.param_type_name == "option"]
    assert [option for option in spelt if not re.search(rf"`{option}[ `]", own)] == []


def test_what_each_command_holds_in_memory_is_said():
    table = TEXT.split("## What is held in memory\n")[1].split("\n## ")[0]
    assert re.findall(r"^\| `(flow-[a-z-]+)` \|", table, re.MULTILINE) == sorted(SCRIPTS)


def head_of(section):
    """The heading, and the line of names below it where there is one."""
    return section.partition("\n- ")[0]
