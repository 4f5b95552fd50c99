"""Cursor: the position up to which everything is done, remembered across restarts."""

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from flowtools.errors import ConfigurationError
from flowtools.event import Event
from flowtools.source.cursor import Cursor
from tests.conftest import ROOT
from tests.running import SECONDS, until

ITEMS = 80


def event(id, source="s"):
    return Event("t", None, source=source, id=str(id))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items.cursor"


def test_a_position_is_reached_once_everything_before_it_is_done(path):
    with Cursor(path) as cursor:
        for n in (1, 2, 3):
            cursor.begin(event(n), n)
        cursor.done(event(3))
        cursor.done(event(2))
        assert (cursor.position, cursor.in_flight) == (None, 1)
        cursor.done(event(1))
        assert (cursor.position, cursor.in_flight) == (3, 0)
    with Cursor(path) as cursor:
        assert cursor.position == 3


def test_the_end_of_a_page_is_reached_after_all_its_events(path):
    with Cursor(path, start="page1") as cursor:
        assert cursor.position == "page1"
        cursor.begin(event(1), "page1")
        cursor.reach("page2")
        assert cursor.position == "page1"
        cursor.done(event(1))
        assert cursor.position == "page2"


def test_a_permanently_failed_event_does_not_hold_the_position(path):
    with Cursor(path) as cursor:
        cursor.begin(event(1), 1)
        cursor.done(event(1), False)
        assert cursor.position == 1


def test_an_event_begun_twice_has_to_be_done_twice(path):
    with Cursor(path) as cursor:
        cursor.begin(event(1), 1)
        cursor.begin(event(1), 2)
        cursor.done(event(1))
        assert cursor.position == 1
        cursor.done(event(1))
        cursor.done(event(1))  # One call more than it was begun: ignored.
        assert cursor.position == 2


def test_events_with_equal_ids_of_different_sources_are_distinct(path):
    with Cursor(path) as cursor:
        cursor.begin(event(1, "a"), 1)
        cursor.done(event(1, "b"))
        assert cursor.position is None


def test_the_cursor_file_is_written_periodically(path):
    with Cursor(path, every=0.01, of="x") as cursor:
        cursor.begin(event(1), {"page": [1, "a"]})
        cursor.done(event(1))
        until(path.exists)
        assert json.loads(path.read_bytes()) == {
            "flow-cursor": 1,
            "of": "x",
            "position": {"page": [1, "a"]},
        }
        assert path.stat().st_mode & 0o777 == 0o600


def test_no_file_is_written_before_an_event_is_done(path):
    with Cursor(path) as cursor:
        cursor.begin(event(1), 1)
    assert not path.exists()


def test_a_full_disk_is_reported_and_the_source_continues(path, caplog):
    with Cursor(path, every=0.01) as cursor:
        blocked = path.with_name(path.name + ".new")
        blocked.mkdir()  # At the path of the new file.
        cursor.begin(event(1), 1)
        cursor.done(event(1))
        until(lambda: "going on" in caplog.text)
        blocked.rmdir()
        until(path.exists)
    assert f"cannot write cursor '{path}'" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[]", b"{}", b'{"flow-cursor": 2, "of": "", "position": 1}']
)
def test_a_damaged_file_is_refused_and_kept(path, content):
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=rf"cannot use cursor '{path}': it is damaged"):
        Cursor(path)
    assert path.read_bytes() == content


def test_a_cursor_file_of_another_address_is_refused(path):
    with Cursor(path, of="https://a/") as cursor:
        cursor.reach(1)
    with pytest.raises(ConfigurationError, match="it belongs to 'https://a/', not 'https://b/'"):
        Cursor(path, of="https://b/")


def test_two_processes_cannot_share_a_cursor_file(path, monkeypatch):
    monkeypatch.setattr("flowtools.source.wholefile.PATIENCE", 0.1)
    with Cursor(path), pytest.raises(ConfigurationError, match="another process has it"):
        Cursor(path)
    Cursor(path).close()


@pytest.mark.parametrize("position", [object(), {1, 2}, 2**80])
def test_a_position_without_a_json_form_is_refused(path, position):
    with Cursor(path) as cursor, pytest.raises(ValueError, match="has no JSON form"):
        cursor.begin(event(1), position)


class Pages(BaseHTTPRequestHandler):
    """Items 1 to ITEMS, five a page."""

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        after = int(query.get("after", ["0"])[0])
        if after < self.server.last:
            self.server.starts.append(after)
        self.server.last = after
        items = [{"id": n} for n in range(after + 1, min(after + 5, ITEMS) + 1)]
        body = json.dumps({"items": items}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def pages():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.starts, server.last = [], 0
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


RECORD = """
import os, time

class Record:
    def start(self, event):
        time.sleep(0.1)
        fd = os.open("done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, b"%d\\n" % event.data["id"])
        os.close(fd)
"""


def kept(path):
    return path.read_bytes() if path.exists() else b""


def numbers(path):
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.fixture
def pipeline(start, tmp_path):
    """Start the example and a Worker behind it; gives both processes."""
    (tmp_path / "rec.py").write_text(RECORD)

    def begin(url):
        env = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
        reader, writer = os.pipe()
        settings = [f"items.url={url}", f"items.state={tmp_path / 'state'}", "items.seconds=0.1"]
        source = start(
            *("flow-source", "--ack", "worker", "--prefetch", 8),
            *[word for setting in settings for word in ("--set", setting)],
            "examples.sources.paged_items:PagedItems",
            stdout=writer,
            env=env,
        )
        os.close(writer)
        worker = start("flow-work", "rec:Record", "-j", 4, stdin=reader, env=env)
        os.close(reader)
        return source, worker

    return begin


def test_killing_source_or_worker_loses_no_item_of_the_paged_example(pipeline, tmp_path):
    done, state = tmp_path / "done", tmp_path / "state"
    with pages() as server:
        for killed in ("source", "both", "worker", "both", ""):
            before = len(numbers(done))
            processes = pipeline(f"http://127.0.0.1:{server.server_port}/")
            if killed == "both":
                # Right after the file was written: everything before its position must be done.
                was = kept(state)
                until(lambda was=was: kept(state) != was)
            elif killed:
                until(lambda before=before: len(numbers(done)) >= min(before + 5, ITEMS))
            else:
                until(lambda: set(numbers(done)) == set(range(1, ITEMS + 1)))
            for name, process in zip(("source", "worker"), processes, strict=True):
                if killed in (name, "both"):
                    process.kill()
            if killed != "source":
                processes[0].terminate()
            for process in processes:
                process.communicate(timeout=SECONDS)
        assert json.loads(state.read_bytes())["position"] == ITEMS
    assert any(server.starts)  # It continued at its position, and did not start over each time.
