"""A type checker knows the public names and finds errors in user code."""

import re
import subprocess
import sys

from tests.conftest import ROOT

CODE = ROOT / "tests/typing"
SAID = re.compile(r"^(?P<file>[^:]+):(?P<line>[0-9]+): error: .*\[(?P<code>[a-z-]+)\]$")


def test_mypy_finds_exactly_the_marked_errors_in_user_code():
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    said = subprocess.run(
        [
            *words,
            "--cache-dir=build/typing",
            "--config-file=",
            *sorted(map(str, CODE.glob("*.py"))),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    assert said.stderr == ""
    found = {
        (each["file"].rpartition("/")[2], int(each["line"]), each["code"])
        for each in map(SAID.match, said.stdout.splitlines())
        if each is not None
    }
    expected = {
        (path.name, number, wrong[1])
        for path in CODE.glob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (wrong := re.search(r"# E: ([a-z-]+)$", line))
    }
    assert found == expected, said.stdout
    assert len(expected) >= 12
