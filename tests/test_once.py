"""--once: an event that was done is skipped, however it comes again."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.running import until

WORKER = """
import os, time

class Note:
    def start(self, event):
        if event.data == "fail" and not os.path.exists("well"):
            raise ValueError("not today")
        with open("begun", "a") as file:
            file.write(event.source + " " + event.id + chr(10))
        if event.data == "hang":
            time.sleep(600)
"""


@pytest.fixture(autouse=True)
def worker(tmp_path):
    (tmp_path / "mine.py").write_text(WORKER)


def line(id, source="s", data=None):
    event = {"specversion": "1.0", "id": id, "source": source, "type": "t", "data": data}
    return json.dumps(event).encode() + b"\n"


def begun(tmp_path):
    path = tmp_path / "begun"
    return path.read_text().splitlines() if path.exists() else []


ONCE = ("flow-work", "mine:Note", "--once", "done", "-j", "4")


def test_an_event_is_processed_once_even_if_repeated(run, tmp_path):
    """An event is identified by source and id: an equal id of another source is another event."""
    lines = line("1") + line("2") + line("1", source="other")
    for _ in range(3):
        status, _, err = run(*ONCE, input=lines)
        assert (status, err) == (0, "")
    assert sorted(begun(tmp_path)) == ["other 1", "s 1", "s 2"]


def test_an_event_that_failed_is_not_done(run, tmp_path):
    assert run(*ONCE, input=line("1", data="fail"))[0] == 1
    (tmp_path / "well").touch()
    assert run(*ONCE, input=line("1", data="fail"))[0] == 0
    assert begun(tmp_path) == ["s 1"]


def test_an_event_not_recorded_before_a_kill_is_processed_once_more(start, run, tmp_path):
    process = start(*ONCE, stdin=-1)
    process.stdin.write(line("1") + line("2", data="hang"))
    process.stdin.flush()

    def recorded():
        with closing(sqlite3.connect(tmp_path / "done")) as opened:
            return opened.execute("SELECT source, id FROM flow_once").fetchall()

    until(lambda: (tmp_path / "done").exists() and len(begun(tmp_path)) == 2, "both events")
    assert until(recorded, "the record of the first event") == [("s", "1")]
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = line("1") + line("2")
    assert run(*ONCE, input=again)[0] == 0
    assert run(*ONCE, input=again)[0] == 0
    assert sorted(begun(tmp_path)) == ["s 1", "s 2", "s 2"]


def test_an_id_is_forgotten_after_once_age(run, tmp_path):
    for age in ("3600", "0.001"):
        assert run(*ONCE, "--once-age", age, input=line("1"))[0] == 0
    assert begun(tmp_path) == ["s 1", "s 1"]


def test_a_file_with_other_content_is_refused_and_left_unchanged(run, tmp_path):
    (tmp_path / "done").write_bytes(b"something else, and longer than a page header of SQLite" * 99)
    before = (tmp_path / "done").read_bytes()
    status, _, err = run(*ONCE, input=line("1"))
    assert (status, err) == (78, "flow-work: cannot use '--once done': file is not a database\n")
    assert (tmp_path / "done").read_bytes() == before
    status, _, err = run("flow-work", "mine:Note", "--once", "no/done", input=line("1"))
    assert (status, len(err.splitlines())) == (78, 1)
