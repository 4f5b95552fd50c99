"""docs/conformance.md names only code and tests that exist."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "conformance.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.partition("## Known, but not used")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| fact |", "| --- |"))
]
LEVELS = {"seen", "documented", "inferred", "unknown", "our rule"}


def names(column):
    return sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[column])})


def resolve(name):
    """Return the object of that name below flowtools."""
    parts = f"flowtools.{name}".split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            fields = getattr(found, "__dataclass_fields__", {})
            found = fields[part] if part in fields else getattr(found, part)
        return found
    raise AssertionError(f"no module of {name}")


@cache
def functions_of(module):
    tree = ast.parse((ROOT / "tests" / f"{module}.py").read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_row_has_a_fact_a_level_code_and_a_test():
    assert len(ROWS) > 60
    for row in ROWS:
        assert len(row) == 4, row
        assert row[0], row
        assert row[1] in LEVELS, row
        assert "`" in row[2], row
        assert "`" in row[3], row


@pytest.mark.parametrize("name", [each for each in names(2) if " " not in each])
def test_the_named_code_exists(name):
    assert resolve(name) is not None


@pytest.mark.parametrize("name", [each for each in names(2) if " " in each])
def test_the_named_option_exists(name):
    command, _, option = name.partition(" ")
    module = command.removeprefix("flow-").replace("-", "_")
    main = importlib.import_module(f"flowtools.commands.{module}").main
    assert option in {flag for param in main.params for flag in param.opts}


@pytest.mark.parametrize("name", names(3))
def test_the_named_test_exists(name):
    module, _, test = name.partition("::")
    assert test in functions_of(module)
