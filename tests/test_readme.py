"""What the README and docs/other-tools.md show, run as it stands there."""

import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from tests.conftest import ROOT, environment
from tests.documents import examples, on_the_stand_in, unfenced
from tests.kafka import kafka
from tests.test_machine import FAKETIME

README = ROOT / "README.md"
OTHER_TOOLS = ROOT / "docs" / "other-tools.md"
BLOCKS = [*examples(README), *examples(OTHER_TOOLS)]
ENDLESS = {
    "With jq: flow-listen-assets | jq": 5,
    "With jq: flow-listen-assets --exclude": 2,
    "With kcat: kcat": 3,
    "With systemd: flow-listen-assets": 5,
    "Delivery: flow-listen-assets --state": 5,
}
"""Endless examples, and the number of lines after which Control-C is pressed."""
NEEDS = {"With GNU parallel: mkdir": "parallel", "With kcat": "kcat"}


def block(beginning):
    (found,) = [each for each in BLOCKS if str(each).startswith(beginning)]
    return found


def of(table, example):
    return next((v for name, v in table.items() if str(example).startswith(name)), None)


@pytest.fixture
def place(tmp_path):
    """A directory with the README's Worker in it."""
    (worker,) = examples(README, "python")
    (tmp_path / "mymod.py").write_text(worker.text)
    return tmp_path


def test_the_first_block_shows_the_command_for_a_new_machine():
    assert re.findall(r"^make \w+", BLOCKS[0].text, re.MULTILINE) == ["make demo"]
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make ([a-z-]+)", README.read_text()))
    assert named >= {"demo", "build", "install", "uninstall", "deb"}
    assert [target for target in named if f"\n{target}:" not in makefile] == []


def test_the_second_block_shows_five_events(shell):
    # In the folder of the checkout; the folder of this Python takes the place of .venv/bin.
    status, out, err = shell(BLOCKS[1].text, cwd=ROOT)
    assert (status, err) == (0, "")
    assert re.findall(r" (flow\.asset\.\w+) ", out.decode())[4:] != []
    assert len(out.splitlines()) == 5
    # The output that the README shows differs in its times only.
    demo, shown, _ = examples(README, "text")
    assert len(demo.text.splitlines()) == 9
    assert [row[24:] for row in shown.text.splitlines()] == [
        row[24:] for row in out.decode().splitlines()
    ]


def test_the_stated_costs_per_event_match_the_benchmarks():
    page = (ROOT / "benchmarks" / "README.md").read_text()
    table = page.partition("\n## Dispatch")[2].partition("\n## ")[0]
    ours = re.search(r"^\| \*\*flow-work -j 16\*\* \|[^|]+\| +([\d.]+)", table, re.MULTILINE)
    parallel = re.search(
        r"^\| parallel -j 16 true \|[^|]+\|[^|]*\|[^|]*\| +([\d.]+)", table, re.MULTILINE
    )
    (row,) = re.findall(r"^\| cost of an item .*$", README.read_text(), re.MULTILINE)
    assert f"| {float(ours[1]):.0f} µs | {float(parallel[1]) / 1000:.1f} ms |" in row


HELD = block("With cron: flow-interval")
"""It waits for the next quarter of an hour on a working day, so it has its own test."""


@pytest.mark.parametrize("example", [each for each in BLOCKS[2:] if each is not HELD], ids=str)
def test_each_block_runs_as_written(example, place):
    tool = of(NEEDS, example)
    if tool and not shutil.which(tool):
        pytest.skip(f"needs {tool}")
    lines = of(ENDLESS, example)
    folders = {"STATE_DIRECTORY": str(place), "LOGS_DIRECTORY": str(place)}  # systemd's
    if tool == "kcat":
        with kafka("arrivals", *({"clip": n} for n in range(3))) as address:
            status, out, err = on_the_stand_in(
                example.text, place, lines=lines, KAFKA=address, **folders
            )
    else:
        status, out, err = on_the_stand_in(example.text, place, lines=lines, **folders)
    assert status == (128 + signal.SIGINT if lines else 0), err
    assert err == ""
    assert len(out.splitlines()) >= (lines or 1)


def test_every_listed_endless_block_exists():
    assert [name for name in ENDLESS if not block(name)] == []


def test_every_command_is_in_a_tested_block():
    # The shell in which the other examples run does not end by itself.
    assert [line.split()[0] for line in unfenced(README)] == ["flow-sim"]
    assert unfenced(OTHER_TOOLS) == []


def test_the_worker_is_configured_on_the_command_line(place, shell):
    status, out, err = shell(block("A Worker").text)
    assert (status, err) == (0, "")
    assert out.decode() == examples(README, "text")[2].text


def test_jq_prints_three_columns_and_selects_events(place):
    _, out, _ = on_the_stand_in(block("With jq: flow-listen-assets | jq").text, place, lines=3)
    assert re.match(rb"\d{4}-\S+Z\tflow\.asset\.(created|updated)\t\w", out), out
    # A Worker that returns the title, in place of the README's.
    (place / "mymod.py").write_text(
        "class Tag:\n    def start(self, event):\n        return event['title']\n"
    )
    _, out, _ = on_the_stand_in(block("With jq: flow-listen-assets --ex").text, place, lines=3)
    titles = [json.loads(line)["data"] for line in out.splitlines()]
    assert len(titles) >= 3
    assert [title for title in titles if "lisbon" not in title.lower()] == []


def test_resume_does_not_repeat_finished_events(place, shell):
    shell(block("With GNU parallel: seq").text)
    done = [json.loads(line) for line in (place / "done").read_bytes().splitlines()]
    assert [each["data"]["of"] for each in done] == [str(n) for n in range(1, 121)]


@pytest.mark.skipif(not shutil.which("parallel"), reason="needs parallel")
def test_a_pipeline_may_end_with_parallel(place, shell):
    status, _, err = shell(block("With GNU parallel: mkdir").text)
    assert (status, err) == (0, "")
    names = sorted(path.name for path in (place / "arrivals").iterdir())
    assert names == ["a.mxf", "a.mxf.gz", "b.mxf", "b.mxf.gz"]


def test_the_crontab_line_runs_under_the_conditions_of_cron(place):
    (table,) = examples(OTHER_TOOLS, "crontab")
    path, job = table.text.splitlines()
    (place / "ingest").mkdir()
    for name in ("one.xml", "it's two.xml", "three.mov"):
        (place / "ingest" / name).touch()
    shutil.move(place / "mymod.py", place / "ingest")
    # cron starts a job in HOME with almost no environment; a % would end the command.
    schedule, command = re.fullmatch(r"((?:\S+ +){4}\S+) +(.*)", job).groups()
    assert schedule == "*/15 * * * *"
    assert "%" not in command
    ours = environment()["PATH"].removesuffix(os.pathsep + os.environ["PATH"])
    env = {"PATH": path.removeprefix("PATH=").replace("/usr/local/bin", ours)}
    env |= {"HOME": str(place), "SHELL": "/bin/sh", "LOGNAME": "me"}
    ran = subprocess.run(
        ["/bin/sh", "-c", command], cwd=place, env=env, capture_output=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"", b"")
    done = (place / "ingest" / "done.jsonl").read_bytes().splitlines()
    assert sorted(json.loads(line)["data"]["of"] for line in done) == [
        "./it's two.xml",
        "./one.xml",
    ]


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime")
def test_the_cron_tick_comes_at_a_quarter_hour_of_a_working_day(place, shell):
    # A few seconds before half past seven in Oslo, on a Wednesday: the clock of each program starts
    # with it, and a busy machine may take a while until it computes the next tick.
    clock = f"LD_PRELOAD={FAKETIME} FAKETIME='@2026-11-25 06:29:55' FAKETIME_DONT_FAKE_MONOTONIC=1"
    # Only the source gets this clock: in libfaketime, time.sleep(0), which flow-work calls, may
    # fail with "Invalid argument".
    assert HELD.text.startswith("flow-interval ")
    status, out, err = shell(f"TZ=UTC {clock} {HELD.text}")
    assert (status, err) == (0, "")
    assert json.loads(out)["data"]["of"] == "*/15 6-22 * * MON-FRI"


def test_every_linked_file_exists():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text())
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
