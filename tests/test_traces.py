"""A trace function that a Worker sets for all threads, and that raises, stops none of ours."""

import json
import re
import sys
import threading
from pathlib import Path
from subprocess import PIPE

import pytest

from flowtools.core import threads
from flowtools.core.threads import start_thread
from tests.running import SECONDS, finish, metrics_at, until
from tests.terminals import Terminal
from tests.test_run import on, put

pytest_plugins = ["tests.run_fixtures", "tests.stomp_fixtures"]

HEAD = """import threading
def raises(frame, event, argument):
    if frame.f_code.co_filename != __file__:
        raise ValueError('traced')
def spoil():
    threading.settrace(raises)
    threading.setprofile(raises)
def note(text):
    with open('notes', 'a') as file:
        file.write(f'{text}\\n')
"""

CODE = {
    "import": """
spoil()
class W:
    def start(self, event):
        note(event.data)
""",
    "configure": """
class W:
    def configure(self, config):
        spoil()
    def start(self, event):
        note(event.data)
""",
    "start": """
class W:
    def start(self, event):
        spoil()
        note(event.data)
""",
}
PLACES = pytest.mark.parametrize("place", CODE)


@pytest.fixture
def spoilt(tmp_path):
    """Write a Worker that sets the trace function in the named place."""

    def write(place, more=""):
        (tmp_path / "mine.py").write_text(HEAD + CODE[place] + more)

    return write


@pytest.fixture
def noted(tmp_path):
    path = tmp_path / "notes"
    return lambda: path.read_text().splitlines() if path.exists() else []


@PLACES
@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_the_pool_runs_every_event(start, spoilt, noted, place, isolation):
    spoilt(place)
    process = start("flow-work", "mine:W", "-j", 3, "--isolation", isolation, stdin=PIPE)
    out, err = process.communicate(b"".join(b"%d\n" % n for n in range(50)), timeout=SECONDS)
    assert (process.returncode, out) == (0, b"")
    if place != "start":  # There, a thread that was just starting may have ended by it.
        assert err == b""
    assert sorted(map(int, noted())) == list(range(50))


@PLACES
def test_metrics_are_served(start, spoilt, noted, tmp_path, place):
    spoilt(place)
    process = start("flow-work", "mine:W", "--metrics", "unix:figures", stdin=PIPE)
    process.stdin.write(b"1\n")
    process.stdin.flush()
    until(noted)
    until(lambda: metrics_at(tmp_path / "figures")["flowtools_done_total"] == 1)
    assert process.communicate(timeout=SECONDS)[1] == b""


@PLACES
def test_the_status_socket_answers(start, run, spoilt, noted, tmp_path, place):
    spoilt(place)
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    process = start("flow-work", "mine:W", stdin=PIPE, env=env)
    process.stdin.write(b"1\n")
    process.stdin.flush()
    until(noted)
    _, out, _ = run("flow-status", "--json", env=env)
    every = [json.loads(line) for line in out.splitlines()]
    (said,) = [each for each in every if each["pid"] == process.pid]
    assert said["answers"] is True
    assert process.communicate(timeout=SECONDS)[1] == b""


@PLACES
def test_the_display_is_drawn(spoilt, tmp_path, place):
    spoilt(place)
    shown = Terminal("(seq 3; sleep 1000) | flow-work mine:W --progress", cwd=tmp_path)
    try:
        shown.wait_for(lambda: re.search("done 3", shown.text))
        assert "traced" not in shown.text
    finally:
        shown.close()


@PLACES
def test_a_broker_is_listened_to(coil, go, spoilt, noted, place):
    listener = "flowtools.source.stomp import GenericStompListener"
    spoilt(place, f"from {listener}\nW.SOURCE = GenericStompListener\n")
    put(coil, *"abc")
    status, _, err = finish(go("mine:W", "--count", 3, *on(coil)))
    assert (status, "Traceback" in err) == (0, False), err
    assert len(noted()) == 3
    assert coil.store.size("/queue/a") == 0


def test_a_thread_of_ours_gets_what_was_set_before_the_users_code():
    before, ran = threading.gettrace(), []

    def raises(frame, event, argument):
        raise ValueError("traced")

    threading.settrace(raises)
    try:
        thread = threading.Thread(target=lambda: ran.append(1))
        start_thread(thread)
        thread.join()
        assert threading.gettrace() is before
    finally:
        threading.settrace(before)
    assert ran == [1]


class NoMemory(threading.Thread):
    """A thread that ends before it has begun, as happens when there is no memory for it."""

    def _bootstrap(self):
        raise MemoryError


def test_a_thread_that_cannot_begin_is_an_error_and_not_waited_for(monkeypatch):
    monkeypatch.setattr(threads, "BEGINS", 0.1)
    monkeypatch.setattr(sys, "unraisablehook", lambda said: None)
    with pytest.raises(RuntimeError, match="it has not begun within"):
        start_thread(NoMemory(daemon=True))


def test_an_error_of_the_start_reaches_who_starts_it():
    thread = threading.Thread(target=int)
    start_thread(thread)
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        start_thread(thread)


def test_only_one_module_calls_start_of_a_thread():
    """Any other could wait for ever for a thread that has no memory to begin."""
    package = Path(threads.__file__).parents[1]
    made = re.compile(r"(?:Thread\(.*\)|thread|_writer|_thread)\.start\(\)")
    found = {file.stem for file in package.rglob("*.py") if made.search(file.read_text())}
    assert found == {"threads", "inprocess"}  # inprocess: its own class, which uses start_thread
