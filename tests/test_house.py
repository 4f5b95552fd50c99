"""The house rules that can be checked by a test; `make check` checks the direction of imports."""

import ast
import re
import sys

import pytest

from tests.conftest import ROOT

MODULES = sorted((ROOT / "flowtools").rglob("*.py"))
NAMES = [str(path.relative_to(ROOT / "flowtools")) for path in MODULES]

LONGEST_MODULE = 400
LONGEST_FUNCTION = 60
LONGER = {
    "run/run.py: run": "options of a command and of a profile, one argument each",
    "source/stomp.py: __init__": "one argument for each option of flow-listen-stomp",
}
"""Functions over the limit, each with its reason."""

BEHIND = {
    "stomp": {"stomp/library.py"},
    "coilmq": {"sim/"},
    "rich": {"view/", "pool/progress_display.py", "process/screen.py"},
    "httpx": {"vizone/transport.py", "vizone/wire.py", "vizone/answer.py"},
    "httpcore": {"vizone/transport.py", "vizone/wire.py", "vizone/answer.py"},
    "lxml": {"vizone/", "sim/", "compat/"},
    "prometheus_client": {"pool/metrics.py", "process/metrics.py"},
    "cronsim": {"source/schedule.py"},
    "inotify_simple": {"source/folder/inotify.py"},
    "xxhash": {"source/folder/checksums.py"},
    "jq": {"ack/jq.py"},
    "click": {"cli/", "commands/"},
    "pytest": {"testing/fixtures.py"},
    "orjson": {""},  # JSON is read and written everywhere.
}
"""Each library, and our modules that import it: a change of the library concerns only these."""


@pytest.mark.parametrize(("name", "path"), [*zip(NAMES, MODULES, strict=True)], ids=NAMES)
def test_modules_and_functions_are_short(name, path):
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    long = [
        f"{name}: {node.name}"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert [each for each in long if each not in LONGER] == []


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]


def test_each_library_is_imported_by_few_modules():
    found = {}
    for name, path in zip(NAMES, MODULES, strict=True):
        foreign = set(imported(ast.parse(path.read_text()))) - sys.stdlib_module_names
        for library in foreign - {"flowtools"}:
            found.setdefault(library, set()).add(name)
    assert set(found) == set(BEHIND)
    strangers = {
        f"{name} imports {library}"
        for library, names in found.items()
        for name in names
        if not name.startswith(tuple(BEHIND[library]))
    }
    assert strangers == set()
    stale = {
        f"nothing in {place} imports {library}"
        for library, places in BEHIND.items()
        for place in places
        if not any(name.startswith(place) for name in found[library])
    }
    assert stale == set()


def test_every_module_has_a_docstring():
    assert [
        n
        for n, p in zip(NAMES, MODULES, strict=True)
        if not ast.get_docstring(ast.parse(p.read_text()))
    ] == []


def test_the_architecture_page_names_each_part_of_the_package():
    page = (ROOT / "docs/architecture.md").read_text().partition("## Where things are")[2]
    top = {path.name + "/" * path.is_dir() for path in (ROOT / "flowtools").iterdir()}
    top -= {"__init__.py", "__main__.py", "__pycache__/", "py.typed"}
    assert sorted(name for name in top if f"`{name}`" not in page) == []


PACKAGES = sorted(path.parent for path in (ROOT / "flowtools").glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES, ids=[path.name for path in PACKAGES])
def test_the_docstring_of_a_package_names_each_module(package):
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert said.count("\n") < 30
    # In commands a file has its command's name; compat lists everything that users import.
    if package.name not in ("commands", "compat"):
        modules = {path.stem for path in package.glob("[!_]*.py")}
        assert sorted(name for name in modules if f"`{name}`" not in said) == []


def test_every_named_file_exists():
    places = {path: (path.parent, ROOT / "flowtools", ROOT) for path in MODULES}
    page = ROOT / "docs/architecture.md"
    missing = [
        f"{path.relative_to(ROOT)} names {named}"
        for path, folders in (places | {page: (ROOT / "flowtools", ROOT)}).items()
        for named in re.findall(r"(?<![\w./*])((?:\w+/)*\w+\.py)\b", path.read_text())
        if named != "stomp.py"  # The library.
        if not any((folder / named).is_file() for folder in folders)
    ]
    assert missing == []


SHAPE = (True, ["__init__", "run"])


def test_sources_are_short_and_have_the_common_shape():
    shapes = {}
    for path in (ROOT / "flowtools/source").glob("[!_]*.py"):
        text = path.read_text()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef):
                methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
                public = [each for each in methods if not each.name.startswith("_")]
                if public and ast.unparse(public[0].args) == "self, outlet: Outlet, stop: Stop":
                    names = [each.name for each in methods]
                    shapes[path.stem] = (len(text.splitlines()) < 200, names[:2])
    assert {"interval", "stomp"} <= set(shapes)
    assert {name: is_it for name, is_it in shapes.items() if is_it != SHAPE} == {}


def test_no_module_is_called_utils_or_helpers():
    assert [n for n in NAMES if n.rpartition("/")[2] in ("utils.py", "helpers.py", "misc.py")] == []
