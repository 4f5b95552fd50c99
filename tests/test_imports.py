"""A command pays only for what it uses: many start at once in a pipeline."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import environment

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
HEAVY = {
    "coilmq",
    "cronsim",
    "httpx",
    "lxml",
    "orjson",
    "prometheus_client",
    "rich",
    "stomp",
    "watchfiles",
}
CODE = """
import sys
from {module} import main
try:
    main(["--help"])
finally:
    print(*{{name.partition(".")[0] for name in sys.modules}}, file=sys.stderr)
"""


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_loads_no_heavy_library(name):
    code = CODE.format(module=SCRIPTS[name].partition(":")[0])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert done.returncode == 0
    loaded = set(done.stderr.split())
    assert "click" in loaded
    assert HEAVY & loaded == set()


# Each ends at once; what is loaded by then is what every run loads.
LIGHT = {
    "flow-interval": (["60", "--count", "1"], HEAVY - {"orjson"}),
    "flow-stdin": ([], HEAVY - {"orjson"}),
    "flow-ack": ([], HEAVY - {"orjson"}),
}


@pytest.mark.parametrize("name", LIGHT)
def test_a_light_command_stays_light_when_it_runs(name):
    args, unwanted = LIGHT[name]
    code = CODE.format(module=SCRIPTS[name].partition(":")[0]).replace('["--help"]', repr(args))
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.returncode == 0
    assert unwanted & set(done.stderr.split()) == set()
