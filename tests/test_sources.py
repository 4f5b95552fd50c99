"""Every source keeps the contract of tests/source_contract.py."""

import ast

import pytest

from tests.conftest import ROOT
from tests.source_contract import WORLDS, Contract

SHAPE = "self, outlet: Outlet, stop: Stop"


@pytest.fixture(params=WORLDS, ids=[each.kind.__name__ for each in WORLDS])
def world(request, tmp_path):
    made = request.param(tmp_path)
    with made.stack:
        yield made


class TestEverySource(Contract):
    """Each promise, for each source."""


def is_protocol(node):
    return any(ast.unparse(base) == "Protocol" for base in node.bases)


def sources():
    """Each module with a source, and the names of its classes with run(outlet, stop)."""
    found = {}
    for path in sorted((ROOT / "flowtools").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not is_protocol(node):
                runs = [each for each in node.body if getattr(each, "name", "") == "run"]
                if any(ast.unparse(each.args) == SHAPE for each in runs):
                    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                    found.setdefault(module, []).append(node.name)
    return found


def test_every_source_class_is_tested_against_the_contract():
    found = {name for names in sources().values() for name in names}
    assert found == {world.kind.__name__ for world in WORLDS}


@pytest.mark.parametrize("module", sources())
def test_a_source_imports_no_other(module):
    """Code that several sources need has its own module."""
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported & set(sources()) == set()
