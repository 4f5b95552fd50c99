"""flow-joblog: a job log of flow-work, summed up."""

import json
import os
import re
import subprocess
from array import array
from pathlib import Path
from subprocess import PIPE

import pytest

from flowtools.joblog.summary import percentile
from tests.running import SECONDS, until

ROOT = Path(__file__).resolve().parents[1]

JOBLOG = [
    {"id": "a", "subject": "s", "type": "t", "outcome": "failed", "attempt": 1, "final": False},
    {"id": "a", "subject": "s", "type": "t", "outcome": "done", "attempt": 2, "final": True},
    {"id": "b", "subject": None, "type": "t", "outcome": "done", "attempt": 1, "final": True},
    {"id": "c", "subject": None, "type": "t", "outcome": "timeout", "attempt": 1, "final": True},
]


@pytest.fixture
def joblog(tmp_path):
    path = tmp_path / "log.jsonl"
    times = {"queued": 0.5, "finished": "2026-01-01T10:30:00.000Z", "error": None}
    lines = [each | times | {"ran": n + 1.0} for n, each in enumerate(JOBLOG)]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines) + '{"torn')
    return path


def test_a_job_log_is_summed_up(run, joblog):
    said = json.loads(run("flow-joblog", "--json", joblog)[1])
    assert said == {
        "events": 3,
        "outcomes": {"done": 2, "timeout": 1},
        "retries": 1,
        "workers": {},
        "ran": {"p50": 2.0, "p95": 4.0, "p99": 4.0, "longest": 4.0},
        "queued": {"p50": 0.5, "p95": 0.5, "p99": 0.5, "longest": 0.5},
        "hours": {"2026-01-01T10:00:00.000Z": {"done": 2, "timeout": 1}},
        "slowest": [
            {"ran": 4.0, "id": "c", "subject": "-", "outcome": "timeout"},
            {"ran": 3.0, "id": "b", "subject": "-", "outcome": "done"},
            {"ran": 2.0, "id": "a", "subject": "s", "outcome": "done"},
            {"ran": 1.0, "id": "a", "subject": "s", "outcome": "failed"},
        ],
        "retried": [{"attempts": 2, "id": "a", "subject": "s", "outcome": "done"}],
        "unreadable": 1,
    }


def test_the_summary_has_readable_tables(run, joblog):
    out = run("flow-joblog", joblog, env={"TZ": "UTC"})[1].decode()
    assert "done                   2  66.7 %" in out
    assert "2026-01-01 10:00       3         1" in out


def test_a_real_job_log_is_summed_up(shell, tmp_path):
    shell("seq 20 | flow-work tests.workers:Echo --joblog log >/dev/null")
    status, out, _ = shell("flow-joblog --json log")
    assert (status, json.loads(out)["outcomes"]) == (0, {"done": 20})
    assert json.loads(out)["workers"] == {"tests.workers:Echo": 20}
    assert "Workers" not in shell("flow-joblog log")[1].decode()


def test_a_job_log_of_several_workers_is_summed_up_per_worker(run, shell, joblog):
    joblog.write_bytes(joblog.read_bytes().removesuffix(b'{"torn'))
    for worker, count in (("Echo", 4), ("Nop", 2)):
        shell(f"seq {count} | flow-work tests.workers:{worker} --joblog {joblog} >/dev/null")
    out = run("flow-joblog", joblog)[1].decode()
    rows = [line.split() for line in out.partition("Workers")[2].splitlines()[2:5]]
    assert [" ".join(row) for row in rows] == [
        "tests.workers:Echo 4",
        "tests.workers:Nop 2",
        "(not said) 3",
    ]


def test_characters_missing_in_the_locale_are_escaped(run, joblog):
    env = {"PYTHONIOENCODING": "latin-1", "TZ": "UTC"}
    status, out, err = run("flow-joblog", joblog, env=env, real=True)
    assert (status, err) == (0, "")
    # The bars of the chart have substitutes of their own width.
    assert re.search(rb" 10:00 +3 +1  #{27}-{13}$", out, re.MULTILINE)


@pytest.mark.parametrize(
    "changed",
    [
        {"finished": 5},
        {"ran": "NaN"},
        {"ran": -1},
        {"ran": True},
        {"ran": 1e300},
        {"queued": None},
        {"attempt": "2"},
        {"attempt": 2**60},
        {"events": -5},
        {"outcome": None},
        {"final": "no"},
    ],
)
def test_a_damaged_record_is_counted_as_unreadable_only(run, tmp_path, changed):
    good = {"id": "a", "outcome": "done", "attempt": 1, "final": True, "ran": 1.0, "queued": 0.0}
    good |= {"finished": "2026-01-01T10:30:00.000Z"}
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(each) + "\n" for each in (good, good | changed, [], 5, "x")))
    status, out, err = run("flow-joblog", "--json", path)
    said = json.loads(out)
    assert (status, err, said["unreadable"]) == (0, "", 4)
    assert (said["events"], said["ran"]["longest"], len(said["slowest"])) == (1, 1.0, 1)
    assert "unreadable lines       4" in run("flow-joblog", path)[1].decode()


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([1, 9], 0.5, 1), ([1, 2, 3], 0.5, 2), (range(1, 101), 0.99, 99), ([7], 0.5, 7), ([], 0.5, 0)],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(values, share, expected):
    assert percentile(array("d", values), share) == expected


def test_a_file_with_other_content_is_not_a_job_log(run, tmp_path):
    (tmp_path / "f").write_text('{"specversion":"1.0"}\n')
    status, _, err = run("flow-joblog", tmp_path / "f")
    assert (status, "is not a job log" in err) == (1, True)


COMPACT = re.compile(r"^\.Bd -literal -offset indent\n(.*?)^\.Ed$", re.DOTALL | re.MULTILINE)
WORKER = """
class Odd:
    def start(self, event):
        if event.data % 2 == 0:
            raise ValueError('"outcome":"done"')
"""


def recipes():
    """The commands that the manual page gives for compaction: at rest, at work, by age."""
    page = (ROOT / "man" / "flow-joblog.1").read_text()
    section = page.partition("\n.Ss Compaction\n")[2].partition("\n.Sh ")[0]
    return [text.replace("\\e", "\\") for text in COMPACT.findall(section)]


@pytest.fixture
def odd(tmp_path, start):
    """Start flow-work on a Worker that fails for even numbers, with a job log."""
    (tmp_path / "odd.py").write_text(WORKER)

    def start_odd(*options):
        return start("flow-work", "odd:Odd", "--joblog", "joblog", *options, stdin=PIPE)

    return start_odd


def numbers(first, last):
    return b"".join(b"%d\n" % number for number in range(first, last + 1))


def skipped(odd, tmp_path, last):
    """Return how many of the numbers from 1 to `last` flow-work --resume skips."""
    odd("--resume").communicate(numbers(1, last), SECONDS)
    return json.loads((tmp_path / "joblog").read_text().splitlines()[-1]).get("events")


@pytest.mark.parametrize("recipe", [0, 2], ids=["at rest", "by age"])
def test_a_job_log_that_was_compacted_at_rest_is_resumed(odd, tmp_path, recipe):
    odd("--retries", 1, "--backoff", 0).communicate(numbers(1, 20), SECONDS)
    whole = (tmp_path / "joblog").read_text().count("\n")
    before = "mv joblog joblog.old\n" if recipe else ""
    commands = (before + recipes()[recipe]).replace("2026-06", "2026-01")
    subprocess.run(["sh", "-euc", commands], cwd=tmp_path, check=True, timeout=SECONDS)
    assert (whole, (tmp_path / "joblog").read_text().count("\n")) == (30, 10)
    assert skipped(odd, tmp_path, 20) == 10


def test_a_job_log_that_was_compacted_at_work_is_resumed(odd, tmp_path):
    process = odd()
    process.stdin.write(numbers(1, 20))
    process.stdin.flush()
    path = tmp_path / "joblog"
    until(lambda: path.exists() and path.read_text().count("\n") >= 20, "the job log")
    environment = {**os.environ, "PID": str(process.pid)}
    script = ["sh", "-euc", recipes()[1]]
    subprocess.run(script, cwd=tmp_path, env=environment, check=True, timeout=SECONDS)
    process.communicate(numbers(21, 40), SECONDS)
    assert skipped(odd, tmp_path, 40) == 20
