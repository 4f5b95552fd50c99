"""A command loads only the modules it uses, since a pipeline starts many commands at once."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.running import SECONDS

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
HEAVY = {
    "coilmq",
    "cronsim",
    "httpx",
    "inotify_simple",
    "lxml",
    "orjson",
    "prometheus_client",
    "rich",
    "stomp",
    "xxhash",
}
OURS = {
    "flowtools",
    "flowtools.cli",
    "flowtools.cli.binding",
    "flowtools.cli.command",
    "flowtools.cli.listener_options",
    "flowtools.cli.options",
    "flowtools.cli.pool_options",
    "flowtools.commands",
    "flowtools.core",
    "flowtools.core.errors",
    "flowtools.core.kind",
    # The defaults shown in the help.
    "flowtools.core.settings",
    "flowtools.doctor",
    "flowtools.doctor.settings",
    "flowtools.pool",
    "flowtools.pool.settings",
    "flowtools.sim",
    "flowtools.sim.settings",
    "flowtools.source",
    "flowtools.source.settings",
    "flowtools.stomp",
    "flowtools.stomp.settings",
    "flowtools.view",
    "flowtools.view.settings",
}
"""Modules of ours that any --help may load, besides the command's own file."""

STANDARD = {
    # dataclasses and its imports
    "dataclasses",
    "copy",
    "keyword",
    # pathlib and its imports (fcntl: since Python 3.14)
    "fcntl",
    "fnmatch",
    "glob",
    "ipaddress",
    "ntpath",
    "pathlib",
    "urllib",
    # click's formatting of help: textwrap, and shutil with its archive modules
    "bz2",
    "compression",
    "grp",
    "locale",
    "lzma",
    "math",
    "pwd",
    "shutil",
    "signal",
    "string",
    "textwrap",
    "zlib",
}
"""Standard modules that any --help may load in addition to those of `import click`."""

CODE = """
import sys
from {module} import main
try:
    main(["--help"])
finally:
    print(*sys.modules, file=sys.stderr)
"""


def loaded_by(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=environment(COVERAGE_PROCESS_CONFIG=""),
    )
    assert done.returncode == 0
    return set(done.stderr.split())


@pytest.fixture(scope="module")
def click_alone():
    """The modules that `import click` loads."""
    return loaded_by("import click, sys; print(*sys.modules, file=sys.stderr)")


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_loads_only_what_it_needs(name, click_alone):
    module = SCRIPTS[name].partition(":")[0]
    loaded = loaded_by(CODE.format(module=module)) - click_alone
    ours = {each for each in loaded if each.partition(".")[0] == "flowtools"}
    assert ours <= {module, *OURS}
    others = {each.partition(".")[0] for each in loaded - ours} - {"click"}
    assert {each for each in others if not each.startswith("_")} <= STANDARD


# Each command ends immediately; the modules loaded by then are loaded in every run.
LIGHT = {
    "flow-interval": (["60", "--count", "1"], HEAVY - {"orjson"}),
    "flow-stdin": ([], HEAVY - {"orjson"}),
    "flow-ack": ([], HEAVY - {"orjson"}),
}


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_command_loads_no_heavy_module_when_it_runs(name):
    args, unwanted = LIGHT[name]
    code = CODE.format(module=SCRIPTS[name].partition(":")[0]).replace('["--help"]', repr(args))
    assert unwanted & {each.partition(".")[0] for each in loaded_by(code)} == set()


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("flowtools.vizone", {"httpx", "lxml"}),
        ("flowtools.sim.standin", {"httpx", "rich"}),
    ],
)
def test_a_package_loads_no_library_that_it_does_not_use(module, unwanted):
    loaded = loaded_by(f"import sys, {module}; print(*sys.modules, file=sys.stderr)")
    assert unwanted & {each.partition(".")[0] for each in loaded} == set()
