"""--halt: its conditions, and when they are met."""

import shutil
import subprocess
import threading

import orjson
import pytest

from flowtools.errors import UsageError
from flowtools.pool.limits import Halt
from flowtools.pool.outcome import Attempt, Outcome
from tests.conftest import environment
from tests.running import SECONDS


def attempt(outcome, final=True):
    return Attempt(None, b"", 1, Outcome(outcome), 1, final, 0.0, 0.0, 0.0, None)


def verdicts(text, outcomes, total=None):
    """The verdicts of Halt, event by event; d and f are short for done and failed."""
    halt = Halt.parse(text)
    if total is not None:
        halt.note_total(total)
    words = {"d": "done", "f": "failed"}
    return [halt.record(attempt(words.get(each, each))) for each in outcomes]


@pytest.mark.parametrize(
    ("text", "outcomes", "expected"),
    [
        ("never", "fff", [None, None, None]),
        ("soon,fail=2", "fdf", [None, None, "soon"]),
        ("now,fail=1", "df", [None, "now"]),
        ("now,fail=1", "ff", ["now", "now"]),
        ("soon,success=2", "dfd", [None, None, "soon"]),
        ("soon,success=1", "fd", [None, "soon"]),
        ("now,done=3", "dfd", [None, None, "now"]),
        ("0", "f", [None]),
        ("1", "f", ["soon"]),
        ("2", "f", ["now"]),
        ("-1", "fd", [None, "soon"]),
        ("-2", "d", ["now"]),
    ],
)
def test_a_number_of_events_halts_as_in_gnu_parallel(text, outcomes, expected):
    assert verdicts(text, outcomes) == expected


@pytest.mark.parametrize(
    ("text", "outcomes", "halted"),
    [
        ("soon,fail=50%", "ff", None),
        ("soon,fail=50%", "fff", "soon"),
        ("50%", "fff", "soon"),
        ("now,fail=50%", "ddddfff", None),
        ("now,fail=50%", "dddfff", "now"),
        ("now,fail=100%", "dffff", None),
        ("now,success=75%", "dfdd", "now"),
        ("now,fail=10%", "fffffffff", None),
        ("now,fail=10%", "ffffffffff", "now"),
        ("now,fail=10%", "dddddddfff", "now"),
        ("now,done=1%", "d" * 200, None),
    ],
)
def test_a_percentage_of_an_unknown_total_is_of_ended_events_after_a_minimum(
    text, outcomes, halted
):
    assert verdicts(text, outcomes)[-1] == halted


@pytest.mark.parametrize(
    ("text", "total", "outcomes", "halted"),
    [
        ("soon,fail=50%", 10, "ffff", None),
        ("soon,fail=50%", 10, "fffff", "soon"),
        ("soon,fail=1%", 10, "df", "soon"),
        ("soon,success=30%", 10, "fdfd", None),
        ("soon,success=30%", 10, "fdfdd", "soon"),
        ("now,done=50%", 10, "dfdf", None),
        ("now,done=50%", 10, "dfdff", "now"),
        ("now,fail=7%", 100, "f" * 7, "now"),
        ("now,fail=50%", 12, ["skipped", "skipped", *"fffff"], "now"),
    ],
)
def test_a_percentage_of_a_known_total_is_of_all_events_that_run(text, total, outcomes, halted):
    assert verdicts(text, outcomes, total)[-1] == halted
    assert halted is None or verdicts(text, outcomes, total)[-2] is None


def test_only_a_matching_outcome_triggers_the_halt():
    assert verdicts("now,fail=50%", "fffd") == [None, None, "now", None]


@pytest.mark.parametrize("outcome", ["failed", "timeout", "rejected", "invalid"])
def test_every_permanent_failure_counts_as_a_failure(outcome):
    assert verdicts("now,fail=1", [outcome]) == ["now"]


@pytest.mark.parametrize("outcome", ["skipped", "cancelled"])
def test_events_that_were_not_run_do_not_count(outcome):
    assert verdicts("now,done=1", [outcome, outcome, "d"]) == [None, None, "now"]


def test_an_attempt_that_will_be_retried_does_not_count():
    halt = Halt.parse("now,fail=1")
    assert halt.record(attempt("failed", final=False)) is None
    assert halt.record(attempt("failed")) == "now"


def test_events_are_counted_across_threads():
    halt = Halt.parse("soon,fail=4000")
    found = []

    def fail():
        found.extend([halt.record(attempt("failed")) for _ in range(500)])

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("soon") == 1


@pytest.mark.parametrize(
    "text",
    ["", "soon", "now", "never,fail=1", "soon,fail", "soon,fail=", "soon,fail=x", "now,fail=-1",
     "later,fail=1", "soon,failed=1", "soon fail=1", "soon,fail=1.5", "soon,fail=3 "],
)  # fmt: skip
def test_a_malformed_condition_is_refused_with_the_expected_form(text):
    with pytest.raises(
        UsageError, match=r"is not a condition to halt: expected never, soon,fail=N"
    ):
        Halt.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon,fail=0", "at least 1"),
        ("soon,fail=0%", "from 1 to 100"),
        ("now,fail=101%", "from 1 to 100"),
    ],
)
def test_a_meaningless_number_is_refused(text, why):
    with pytest.raises(UsageError, match=why):
        Halt.parse(text)


# Compared with GNU parallel itself

WORKER = """\
import time
def note(text):
    with open("ours", "ab", buffering=0) as file:
        file.write(text.encode() + b"\\n")
class Job:
    def start(self, event):
        if event.data.startswith("slow"):
            time.sleep(2)
        note(event.data)
        if event.data.startswith("bad"):
            raise ValueError("bad")
"""

COMMAND = """case {} in slow*) sleep 2;; esac; echo {} >>theirs; case {} in bad*) exit 1;; esac"""

MIXED = "obobboobooobbooooooo"
FIRST_BAD = "bbbbbooooooooooooooo"
WELL = "oooooooooo"
BAD = "bbbbbbbbbb"

FORMS = [
    ("never", MIXED), ("0", MIXED), ("0", WELL),
    ("1", MIXED), ("2", MIXED), ("-1", MIXED), ("-2", MIXED), ("-1", FIRST_BAD), ("-2", WELL),
    ("-2", BAD),
    ("soon,fail=1", MIXED), ("now,fail=1", WELL), ("soon,fail=3", MIXED), ("now,fail=3", BAD),
    ("soon,fail=100", MIXED), ("now,success=1", FIRST_BAD), ("soon,success=3", MIXED),
    ("soon,success=100", WELL), ("soon,success=100", MIXED), ("now,done=1", WELL),
    ("now,done=1", BAD), ("soon,done=7", MIXED), ("now,done=100", MIXED),
    ("10%", MIXED), ("25%", MIXED), ("50%", MIXED), ("soon,fail=25%", FIRST_BAD),
    ("now,fail=1%", MIXED), ("now,fail=100%", BAD), ("now,fail=99%", BAD), ("now,fail=10%", WELL),
    ("soon,success=50%", MIXED), ("now,success=100%", WELL), ("now,success=5%", FIRST_BAD),
    ("soon,success=75%", MIXED), ("soon,done=50%", MIXED), ("now,done=25%", FIRST_BAD),
    ("soon,done=100%", WELL), ("now,done=1%", WELL),
]  # fmt: skip


@pytest.fixture
def beside(start, tmp_path):
    """Run jobs with GNU parallel and with flow-work; return for each what ran and how it ended."""
    if shutil.which("parallel") is None:
        pytest.skip("needs GNU parallel: apt-get install parallel")
    (tmp_path / "jobs.py").write_text(WORKER)

    def run(form, jobs, threads):
        (tmp_path / "list").write_text("".join(f"{job}\n" for job in jobs))
        (tmp_path / "lines").write_bytes(b"".join(orjson.dumps(job) + b"\n" for job in jobs))
        with (tmp_path / "list").open() as file:
            theirs = subprocess.run(
                ["parallel", "--will-cite", f"-j{threads}", "--halt", form, COMMAND],
                stdin=file, capture_output=True, cwd=tmp_path, timeout=SECONDS,
                env=environment(HOME=str(tmp_path), PARALLEL=""), check=False,
            )  # fmt: skip
        with (tmp_path / "lines").open() as file:
            ours = start("flow-work", "jobs:Job", "-j", threads, "--halt", form, stdin=file)
            _, err = ours.communicate(timeout=SECONDS)
        assert theirs.returncode < 255, theirs.stderr

        def ran(name):
            path = tmp_path / name
            return path.read_text().split() if path.exists() else []

        return (ran("theirs"), bool(theirs.returncode)), (ran("ours"), bool(ours.returncode)), err

    return run


@pytest.mark.parametrize(("form", "pattern"), FORMS, ids=[f"{f} {p}" for f, p in FORMS])
def test_halting_runs_and_ends_like_gnu_parallel(beside, form, pattern):
    names = {"o": "ok", "b": "bad"}
    jobs = [f"{names[each]}{number}" for number, each in enumerate(pattern)]
    theirs, ours, err = beside(form, jobs, 1)
    assert ours == theirs, err


def test_halting_on_done_without_failures_is_a_success_unlike_gnu_parallel(beside):
    theirs, ours, _ = beside("soon,done=7", [f"ok{number}" for number in range(10)], 1)
    assert ours[0] == theirs[0]
    assert (ours[1], theirs[1]) == (False, True)


@pytest.mark.parametrize("form", ["now,fail=1", "soon,fail=1", "now,success=1", "soon,success=1"])
def test_running_events_are_cancelled_or_finished_like_in_gnu_parallel(beside, form):
    kind = "bad" if "fail" in form else "ok"
    theirs, ours, err = beside(form, ["slow1", f"{kind}2", "ok3", "ok4"], 2)
    assert ours == theirs, err
    assert ("slow1" in ours[0]) == form.startswith("soon")
