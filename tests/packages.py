"""What tests of packages share: the commands there are, and a program that must end well."""

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
