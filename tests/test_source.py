"""flow-source: a user's class as a source, well and badly behaved, as a real process."""

import http.server
import json
import signal
import threading
import time
import urllib.error
import urllib.request
from subprocess import PIPE

import pytest

from tests.conftest import ROOT
from tests.running import SECONDS, finish, until
from tests.stomp_servers import Lines


@pytest.fixture
def environment_of_test(notes):
    return {"PYTHONPATH": str(ROOT), "NOTES": str(notes.path)}


@pytest.fixture
def source(start, environment_of_test):
    def run(name, *args, **options):
        name = name if ":" in name else f"tests.sources:{name}"
        return start("flow-source", name, *args, env=environment_of_test, **options)

    return run


# The contract


def test_iterated_values_are_printed_as_events(source):
    status, events, err = finish(source("Three"))
    assert (status, err) == (0, "flow-source: source: hello\n")
    assert [event.get("data") for event in events] == [{"n": 1}, 2, "3"]
    assert [event["type"] for event in events] == ["flow.source.value", "mine", "flow.source.value"]
    assert (events[1]["id"], events[1]["subject"]) == ("two", "s")
    assert len({event["id"] for event in events}) == 3


def test_a_source_gets_configure_done_and_clean_up(source, notes):
    status, events, err = finish(source("Life", "--set", "note.word=mine"))
    assert (status, [event["data"] for event in events], err) == (0, ["a", "b"], "")
    assert notes() == ["configure mine", "done a True", "done b True", "clean_up"]


def test_several_threads_may_emit_events(source):
    status, events, _ = finish(source("Many"))
    assert (status, len(events)) == (0, 1000)
    for thread in range(4):
        mine = [event["data"][1] for event in events if event["data"][0] == thread]
        assert mine == list(range(250))


@pytest.mark.parametrize("name", ["Three", "Many"])
def test_count_ends_the_source(source, name):
    status, events, _ = finish(source(name, "--count", 2))
    assert (status, len(events)) == (0, 2)


# Badly behaved


@pytest.mark.parametrize(
    ("name", "status", "values", "message"),
    [
        ("Raises", 1, [1], "Raises' failed: ValueError: broken ("),
        ("Unreachable", 69, [], "flow-source: cannot reach 'elsewhere'\n"),
        ("Exits", 1, [], "Exits' failed: SystemExit: enough"),
        ("Garbage", 1, [1, 2], "3 of 5 values were not events"),
        (
            "EmitsGarbage",
            1,
            ["cannot be written as JSON:"],
            "EmitsGarbage' gave a value that is not an event",
        ),
        ("BadCleanUp", 1, [1], "cannot clean up after the Source: OSError: cannot close ("),
        ("BadConfigure", 78, [], "cannot configure Source 'tests.sources:BadConfigure': KeyError"),
        ("NoSource", 78, [], "its class has neither '__iter__' nor 'run'"),
        ("Nowhere", 78, [], "cannot load Source 'tests.sources:Nowhere': there is no class"),
    ],
)
def test_each_error_has_its_exit_status_and_loses_nothing(source, name, status, values, message):
    ended, events, err = finish(source(name))
    assert (ended, [event["data"] for event in events]) == (status, values)
    assert message in err
    assert "Traceback" not in err


def test_a_source_that_hangs_does_not_outlive_a_signal(source, notes):
    process = source("Sleeps", "--grace", "0.2")
    until(lambda: notes() == ["sleeps"])
    process.send_signal(signal.SIGTERM)
    status, events, err = finish(process)
    assert (status, len(events)) == (-signal.SIGTERM, 1)
    assert "has not ended and is abandoned" in err


def test_a_source_with_stop_ends_immediately_and_its_last_value_counts(source, notes):
    process = source("Polite", "--grace", "60")
    lines = Lines(process.stdout)
    lines.next()
    process.send_signal(signal.SIGINT)  # Possibly before the next value is requested.
    assert json.loads(lines.next())["data"] == "last"
    assert process.wait(SECONDS) == -signal.SIGINT
    assert notes() == ["clean_up"]


def test_a_flood_of_events_waits_for_its_reader(source, notes):
    process = source("Flood")
    process.stdout.readline()
    # As many as the pipe holds, and then no more.
    until(lambda: notes() and int(notes()[-1]) >= 30)
    time.sleep(0.3)
    assert int(notes()[-1]) < 100
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def test_a_closed_reader_ends_a_hanging_source(source, notes):
    process = source("Sleeps", "--grace", "0.1")
    until(lambda: notes() == ["sleeps"])
    process.stdout.close()
    assert process.wait(SECONDS) == -signal.SIGPIPE


# Acknowledgement


def test_with_ack_worker_done_gets_the_outcome_of_each_event(shell, notes, environment_of_test):
    line = (
        "flow-source --ack worker --prefetch 5 tests.sources:Many |"
        " flow-work tests.test_source:Odd -j 4"
    )
    status, _, _ = shell(line, **environment_of_test)
    assert status == 1
    found = [each.split() for each in notes()]
    assert len(found) == 1000
    assert {int(n.split(".")[1]) % 2 for n, ok in found if ok == "True"} == {1}
    assert {int(n.split(".")[1]) % 2 for n, ok in found if ok == "False"} == {0}


class Odd:
    """A Worker that refuses even numbers."""

    def start(self, event):
        if event.data[1] % 2 == 0:
            raise ValueError("even")


def test_at_most_prefetch_events_wait_for_a_worker(source):
    process = source("Flood", "--ack", "worker", "--prefetch", "3")
    lines = Lines(process.stdout)
    for _ in range(3):
        assert "ackto" in json.loads(lines.next())
    time.sleep(0.3)
    assert lines._lines.empty()


def test_ack_worker_needs_a_done_method(source):
    status, _, err = finish(source("Three", "--ack", "worker"))
    assert status == 2
    assert "needs a Source with a method 'done'; 'tests.sources:Three' has none" in err


# The examples


@pytest.fixture
def page():
    class Page(http.server.BaseHTTPRequestHandler):
        content = b"one"

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(Page.content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    Page.url = f"http://127.0.0.1:{server.server_port}/"
    yield Page
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_changed_web_page_is_an_event(source, page):
    settings = ["--set", f"page.url={page.url}", "--set", "page.seconds=0.05"]
    process = source("examples.sources.poll_page:PollPage", *settings)
    lines = Lines(process.stdout)
    first = json.loads(lines.next())
    page.content = b"two"
    second = json.loads(lines.next())
    assert [first["data"]["text"], second["data"]["text"]] == ["one", "two"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    page.content = b"one"
    (again,) = finish(source("examples.sources.poll_page:PollPage", "--count", 1, *settings))[1]
    assert again["id"] == first["id"]


def test_a_file_is_tailed_across_a_rotation(source, tmp_path):
    log = tmp_path / "log"
    log.write_text("old\n")
    settings = ["--set", f"tail.file={log}", "--set", "tail.from start=yes"]
    process = source("examples.sources.tail_file:TailFile", *settings)
    lines = Lines(process.stdout)
    assert json.loads(lines.next())["data"] == "old"
    with log.open("a") as file:
        file.write("half")
        file.flush()
        file.write(" a line\n")
    assert json.loads(lines.next())["data"] == "half a line"
    log.rename(tmp_path / "log.1")
    log.write_text("new\n")
    assert json.loads(lines.next())["data"] == "new"
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM


def post(port, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/jobs", data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_a_web_server_answers_with_the_outcome_of_the_event(source, start, environment_of_test):
    process = source(
        "examples.sources.web_server:WebServer", "--ack", "worker", "--set", "web.port=0"
    )
    said = Lines(process.stderr)
    port = int(said.until(b"listening").split()[-1])
    worker = start(
        "flow-work",
        "tests.test_source:Odd",
        "-j",
        4,
        env=environment_of_test,
        stdin=process.stdout,
        stdout=PIPE,
    )
    assert [post(port, b"[0, 1]"), post(port, b"[0, 2]"), post(port, b"no")] == [200, 500, 400]
    assert [post(port, b"[0, NaN]"), post(port, b"[" * 100_000)] == [400, 400]
    assert post(port, b"[" * 400 + b"]" * 400) == 400
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == -signal.SIGTERM
    process.stdout.close()
    assert worker.wait(SECONDS) == 1
