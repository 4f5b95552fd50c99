"""Fixtures of tests that start flow-run; a test file names them in pytest_plugins."""

import pytest

from tests.conftest import ROOT


@pytest.fixture
def variables(notes, tmp_path):
    return {"PYTHONPATH": str(ROOT), "NOTES": str(notes.path), "XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def go(start, variables):
    """Start flow-run on a class of tests/runners.py, or on another target."""

    def run(name, *args, **options):
        target = name if set(name) & set(":.") else f"tests.runners:{name}"
        env = variables | options.pop("env", {})
        return start("flow-run", target, *args, env=env, **options)

    return run
