"""-j: a number of threads, absolute or depending on the CPUs, in the forms of GNU parallel."""

import os
import shutil
import subprocess

import pytest

from flowtools.errors import UsageError
from flowtools.pool.width import width
from tests.running import SECONDS


@pytest.fixture
def cpus(monkeypatch):
    def have(number):
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(number)))

    return have


@pytest.mark.parametrize(
    ("text", "on_4", "on_3"),
    [
        ("1", 1, 1),
        ("16", 16, 16),
        ("100%", 4, 3),
        ("50%", 2, 2),
        ("10%", 1, 1),
        ("0%", 1, 1),
        ("12.5%", 1, 1),
        ("200%", 8, 6),
        ("+0", 4, 3),
        ("+2", 6, 5),
        ("-1", 3, 2),
        ("-0", 4, 3),
        ("-9", 1, 1),
    ],
)
def test_a_number_of_threads_may_depend_on_the_cpus(cpus, text, on_4, on_3):
    cpus(4)
    assert width(text) == on_4
    cpus(3)
    assert width(text) == on_3


@pytest.mark.parametrize(
    "text", ["", "0", "x", "1.5", "%", "-", "++1", "50%%", "+1%", "1e3", "-1.5"]
)
def test_a_malformed_number_of_threads_is_named(text):
    with pytest.raises(
        UsageError, match=rf"^'{text.replace('+', '[+]')}' is not a number of threads: "
    ):
        width(text)


@pytest.mark.parametrize("text", ["1000000", "+999999", "100000000%", "9" * 5000])
def test_too_many_threads_are_refused_with_the_limit(text):
    with pytest.raises(UsageError, match=r"' is too many threads: at most 999999 are allowed$"):
        width(text)


@pytest.mark.parametrize("text", ["1", "3", "100%", "50%", "10%", "150%", "+0", "+1", "-1"])
def test_gnu_parallel_starts_the_same_number(text):
    if not shutil.which("parallel"):
        pytest.skip("GNU parallel is not installed")
    # {%} is the number of the slot: the largest is how many ran at the same time.
    done = subprocess.run(
        ["parallel", "-j", text, "sleep 0.2; echo {%}", ":::", *map(str, range(14))],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=os.environ | {"PARALLEL_HOME": "/nonexistent"},
    )
    assert max(map(int, done.stdout.split())) == min(width(text), 14)


@pytest.mark.parametrize("typed", [["-j", "-1"], ["-j-1"], ["--threads=+0"], ["-j", "100%"]])
def test_flow_work_accepts_every_form_of_threads(run, tmp_path, typed):
    (tmp_path / "mymod.py").write_text("class W:\n    def start(self, event):\n        pass\n")
    status, _, err = run("flow-work", "mymod:W", *typed, input=b"1\n")
    assert (status, err) == (0, "")


def test_flow_work_refuses_a_malformed_number_of_threads(run):
    status, _, err = run("flow-work", "mymod:W", "-j", "many")
    assert status == 2
    assert err == (
        "flow-work: invalid value for '-j' / '--threads': 'many' is not a number of threads: write"
        " 8, or 100%, +2 or -1 for a number that depends on the CPUs; try 'flow-work --help'\n"
    )
