"""docs/api.md, the page of the public API: it names what exists and what pages and examples use."""

import ast
import importlib
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text()
ROW = re.compile(r"^\| `(flowtools[\w.]*)` \| (`.*`) \|", re.MULTILINE)

NAMES = {module: re.findall(r"`(\w+)`", names) for module, names in ROW.findall(PAGE)}
"""The names that the page lists, by module."""

CODE = re.compile(
    r"^(?:>>> |\s*)(from flowtools\S* import [\w, ]+|import flowtools\S*)$", re.MULTILINE
)


def users():
    """Yield (file, its imports) of each example and page that imports flowtools."""
    for path in sorted((ROOT / "examples").rglob("*.py")):
        tree = ast.parse(path.read_text())
        found = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        yield path, [node for node in found if (node.module or "").startswith("flowtools")]
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "man").glob("*.[17]")]
    for path in pages:
        if path.name in ("architecture.md", "api.md"):
            continue  # These pages describe internals, too.
        lines = [line.strip() for line in CODE.findall(path.read_text())]
        trees = [ast.parse(line).body[0] for line in lines]
        yield path, [node for node in trees if isinstance(node, ast.ImportFrom)]


def test_the_page_has_rows():
    assert len(NAMES) > 10
    assert "Retry" in NAMES["flowtools.worker"]


@pytest.mark.parametrize("module", NAMES)
def test_every_documented_name_can_be_imported(module):
    found = importlib.import_module(module)
    assert found.__doc__
    for name in NAMES[module]:
        assert getattr(found, name), name
    public = getattr(found, "__all__", None)
    if public is not None:
        assert sorted(NAMES[module]) == sorted(public)


@pytest.mark.parametrize(
    ("path", "imports"), [pytest.param(*user, id=user[0].name) for user in users() if user[1]]
)
def test_pages_and_examples_import_only_public_names(path, imports):
    for node in imports:
        names = {alias.name for alias in node.names}
        if node.module == "flowtools":
            names = {name for name in names if f"flowtools.{name}" not in NAMES}
            assert not names
        elif node.module != "flowtools.compat" and not node.module.startswith("flowtools.compat."):
            assert names <= set(NAMES.get(node.module, ())), f"{path.name}: {node.module}"


def test_names_for_new_code_in_the_porting_guide_are_public():
    page = (ROOT / "docs" / "porting.md").read_text()
    cells = re.findall(r"^\| [^|]+ \| ([^|]+) \| (?:same|better|different)", page, re.MULTILINE)
    named = {each for cell in cells for each in re.findall(r"`(flowtools\.[\w.]+)`", cell)}
    public = {f"{module}.{name}" for module, names in NAMES.items() for name in names}
    assert len(named) > 10
    assert named - set(NAMES) - public == set()
