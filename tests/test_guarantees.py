"""docs/promises.toml names tests that exist, and every option of every command."""

import re
import runpy
import tomllib
from importlib import import_module

import pytest

from tests.conftest import ROOT

GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text()
SCRIPT = runpy.run_path(str(ROOT / "docs" / "tools" / "promises.py"))
SECTIONS = SCRIPT["sections"]()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PROOFS = [
    tuple(test.split(": "))
    for section in SECTIONS
    for promise in section["promise"]
    for test in promise["tests"]
]
EVERY = "Every command"


def test_promises_md_is_up_to_date():
    assert (ROOT / "docs" / "promises.md").read_text() == SCRIPT["page"](), "try make promises"


@pytest.mark.parametrize("file", sorted({file for file, _ in PROOFS}))
def test_every_named_test_exists(file):
    folder, _, name = file.rpartition("/")
    code = (ROOT / "tests" / folder / f"test_{name}.py").read_text()
    there = set(re.findall(r"^def test_(\w+)", code, re.MULTILINE))
    assert [test for other, test in PROOFS if other == file and test not in there] == []


def test_every_promise_has_a_test():
    said = [each["says"] for section in SECTIONS for each in section["promise"]]
    assert len(said) == len(set(said))
    untested = [
        each["says"] for section in SECTIONS for each in section["promise"] if not each["tests"]
    ]
    assert untested == []


def test_every_command_has_its_own_section():
    assert EVERY in [section["title"] for section in SECTIONS]
    titles = " ".join(section["title"] for section in SECTIONS)
    assert set(re.findall(r"flow-[a-z-]+", titles)) == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_option_is_in_a_section_of_its_command(name):
    own = " ".join(
        promise["says"]
        for section in SECTIONS
        if section["title"] == EVERY or re.search(rf"{name}\b(?!-)", section["title"])
        for promise in section["promise"]
    )
    module, _, function = SCRIPTS[name].partition(":")
    options = getattr(import_module(module), function).params
    spelt = [max(p.opts, key=len) for p in options if p.param_type_name == "option"]
    assert [option for option in spelt if not re.search(rf"`{option}[ `]", own)] == []


def test_the_memory_table_has_a_row_for_each_command():
    table = GUARANTEES.split("## What is held in memory\n")[1]
    assert re.findall(r"^\| `(flow-[a-z-]+)` \|", table, re.MULTILINE) == sorted(SCRIPTS)
