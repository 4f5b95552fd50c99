"""Helpers for tests of packages: the list of commands, and running a program that must succeed."""

import subprocess
import tomllib

from tests.conftest import ROOT

SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def call(*command, **options):
    """Run a command; return what it prints, or fail with what it says."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
