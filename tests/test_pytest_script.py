"""contrib/pytest.sh: what becomes of a run in which tests fail."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

TESTS = """
from pathlib import Path
import pytest

def test_that_always_fails():
    assert not {always}

@pytest.mark.xdist_group("a-group")
def test_that_fails_once():
    if not Path("tried").exists():
        Path("tried").touch()
        raise AssertionError

def test_that_passes():
    with Path("passes").open("a") as file:
        file.write("x")
"""


@pytest.fixture
def pytest_script(tmp_path):
    """Run the script on tests of which one fails the first time; gives (status, stderr)."""

    def run(again, *options, always=False, once=""):
        (tmp_path / "test_it.py").write_text(TESTS.format(always=always))
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["sh", ROOT / "contrib" / "pytest.sh", "-q", "-n", "2", *options, "test_it.py"],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "AGAIN": again, "ONCE": once},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("options", [(), ("--dist", "loadgroup")])
def test_a_test_that_passes_the_second_time_is_listed_as_unstable(pytest_script, tmp_path, options):
    status, err = pytest_script("3", *options)
    assert status == 0
    assert err.splitlines()[-1] == "unstable: test_it.py::test_that_fails_once"
    assert (tmp_path / "passes").read_text() == "x"  # Only failed tests are run again.


def test_a_second_failure_fails_the_run(pytest_script):
    status, err = pytest_script("3", always=True)
    assert (status, "unstable" in err) == (1, False)


def test_too_many_failures_are_not_run_again(pytest_script):
    status, err = pytest_script("1", always=True)
    assert (status, "more than 1 tests failed" in err) == (1, True)


@pytest.mark.parametrize("again", ["0", ""])
def test_without_again_a_failure_fails_the_run(pytest_script, again):
    assert pytest_script(again) == (1, "")


def test_a_test_that_once_names_is_never_run_again(pytest_script, tmp_path):
    status, err = pytest_script("3", once=r"fails_(once|twice)")
    assert (status, "none is run again" in err) == (1, True)
    assert (tmp_path / "passes").read_text() == "x"


def test_once_does_not_concern_tests_that_pass(pytest_script):
    assert pytest_script("3", once="that_passes")[0] == 0
