"""-vv: each command reports what it does, without secrets."""

import pytest

from tests.running import SECONDS

EVENTS = b'{"title":"a"}\n{"title":"b"}\n'

MEANT = {
    "flow-interval": (["0.05", "--count", "2"], ["tick 1 is written", "tick 2 is written"]),
    "flow-stdin": ([], ["lines up to 2 of the input are written", "2 events of 2 lines"]),
    "flow-tee": (["copy"], ["line 1: copies: 2", "line 2: copies: 2"]),
    "flow-jq": (['select(.title == "a")'], ["line 1: outputs: 1", "line 2: outputs: 0"]),
    "flow-view": (
        [],
        ["showing lines on <stdout>, in utf-8, with the columns", "2 lines"],
    ),
    "flow-work": (
        ["mymod:W", "-j", "2", "--retries", "1", "--backoff", "0"],
        [
            "attempt 1: done in ",
            "attempt 1: failed in ",
            "; it is tried again",
            "attempt 2: failed",
        ],
    ),
}

WORKER = """
class W:
    def start(self, event):
        if event.data["title"] == "b":
            raise ValueError("no")
"""


@pytest.mark.parametrize("name", MEANT)
def test_double_verbose_reports_what_the_command_does(run, tmp_path, name):
    (tmp_path / "mymod.py").write_text(WORKER)
    args, meant = MEANT[name]
    _, _, err = run(name, *args, "-vv", input=EVENTS)
    for text in meant:
        assert text in err
    assert f"{name}: debug: version " in err.splitlines()[0]


@pytest.mark.parametrize("name", MEANT)
def test_single_verbose_prints_no_debug_messages(run, tmp_path, name):
    (tmp_path / "mymod.py").write_text(WORKER)
    args, _ = MEANT[name]
    assert "debug" not in run(name, *args, "-v", input=EVENTS)[2]


def test_flow_watch_reports_what_it_sees(start, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a").write_text("x")
    args = [folder, "--existing", "--settle", "0", "--count", "1", "-vv"]
    process = start("flow-watch", *args)
    _, err = process.communicate(timeout=SECONDS)
    assert b"debug: looked at all of" in err
    assert b"debug: 'a' is created" in err


def test_settings_shown_are_numbers_and_flags_and_never_texts(run, tmp_path):
    (tmp_path / "mymod.py").write_text(WORKER)
    options = ["--timeout", "5m", "--set", "a.b=s3cret", "--pass", "-vv"]
    _, _, err = run("flow-work", "mymod:W", *options, input=EVENTS)
    first = err.splitlines()[0]
    assert "--timeout=300.0" in first
    assert "--pass=True" in first
    assert "s3cret" not in err
