"""Upgrading and rolling back: this version reads files of the previous one, and vice versa.

The files of `tests/upgrading` were written by version 0.1.0 as of commit 4af4f0b. That this older
code reads today's files was tried by hand with that commit; these tests check the rules that
make it possible: each member that it knows still exists and has the same type.
"""

import json
import shutil

import pytest

from tests.conftest import ROOT
from tests.running import SECONDS, until
from tests.vizone_servers import stand_in

OLD = ROOT / "tests" / "upgrading"

TAG = """
class Tag:
    def start(self, event):
        if event.get("title") is None:
            raise ValueError(f"asset {event.subject} has no title")

class Mended:
    def start(self, event):
        return event.subject
"""


@pytest.fixture
def old(tmp_path):
    """A folder with the files of the previous release, and Workers."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    (tmp_path / "tag.py").write_text(TAG)
    return tmp_path


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def types(fields):
    return {name: type(value) for name, value in fields.items()}


def test_resume_skips_events_done_by_the_previous_release(run, old):
    lines = (old / "events.jsonl").read_bytes()
    args = ("--joblog", "joblog.jsonl", "--resume")
    status, out, err = run("flow-work", "tag:Mended", *args, input=lines, cwd=old)
    assert [each["subject"][-1] for each in objects(out)] == ["3", "5"]
    assert (status, "1 of 7 events failed" in err or "1 invalid" in err) == (1, True)


def test_the_failed_file_of_the_previous_release_is_run_again(run, old):
    failed = (old / "failed.jsonl").read_bytes()
    status, out, _ = run("flow-work", "tag:Mended", input=failed, cwd=old)
    assert status == 1  # The line that was not JSON still is not.
    assert [each["subject"][-1] for each in objects(out)] == ["3", "5"]


def test_flow_failed_flow_joblog_and_flow_view_read_old_files(run, old):
    status, out, _ = run("flow-failed", "failed.jsonl", "--json", cwd=old)
    assert (status, sum(each["count"] for each in objects(out))) == (0, 3)
    status, out, _ = run("flow-joblog", "joblog.jsonl", "--json", cwd=old)
    assert (status, json.loads(out)["outcomes"]) == (0, {"done": 4, "failed": 2, "invalid": 1})
    status, out, _ = run("flow-view", input=(old / "joblog.jsonl").read_bytes(), cwd=old)
    assert out.count(b"failed, attempt 1: ValueError: asset urn") == 2


def test_new_lines_are_appended_to_old_files(run, old):
    lines = (old / "events.jsonl").read_bytes()
    before = {name: (old / name).read_bytes() for name in ("joblog.jsonl", "failed.jsonl")}
    args = ("--joblog", "joblog.jsonl", "--failed", "failed.jsonl")
    run("flow-work", "tag:Tag", *args, input=lines, cwd=old)
    for name, text in before.items():
        after = (old / name).read_bytes()
        assert after.startswith(text)
        assert len(after.splitlines()) == 2 * len(text.splitlines())


@pytest.mark.parametrize("name", ["joblog.jsonl", "failed.jsonl"])
def test_new_files_have_all_fields_that_the_previous_release_reads(run, old, name):
    lines = (old / "events.jsonl").read_bytes()
    was = objects((old / name).read_text())
    (old / name).unlink()
    option = "--joblog" if name == "joblog.jsonl" else "--failed"
    run("flow-work", "tag:Tag", option, name, input=lines, cwd=old)
    now = objects((old / name).read_text())
    assert len(now) == len(was)
    for before, after in zip(was, now, strict=True):
        assert types(before).items() <= types(after).items()
        for key in ("id", "outcome", "attempt", "final", "subject", "flowline", "data"):
            assert after.get(key) == before.get(key)
    if name == "joblog.jsonl":
        # The previous release's --resume reads these two.
        assert all(line.startswith('{"id":') for line in (old / name).read_text().splitlines())
        assert '"outcome":"done"' in (old / name).read_text()


def test_the_state_file_of_the_previous_release_works_in_both_directions(start, old):
    state = old / "assets.state"
    before = json.loads(state.read_bytes())
    with stand_in() as server:
        made = [server.catalogue.create(f"made meanwhile {n}").urn for n in range(3)]
        env = {
            "VIZONE_URL": server.url,
            "VIZONE_USER": "admin",
            "VIZONE_PASSWORD": server.password,
        }
        process = start("flow-listen-assets", "--state", state, "--count", 3, env=env)
        out, err = process.communicate(timeout=SECONDS)
        assert [json.loads(line)["subject"] for line in out.splitlines()] == made
        assert b"was written for" in err  # Another port.
        until(lambda: json.loads(state.read_bytes())["changed"] > before["changed"])
    after = json.loads(state.read_bytes())
    assert types(before).items() <= types(after).items()
    assert after["flow-state"] == before["flow-state"] == 1
    assert all(isinstance(when, float) for when in after["seen"].values())
