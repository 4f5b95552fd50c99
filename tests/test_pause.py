"""The pause of the pool while the server behind its Worker is down: nothing is lost, few calls."""

import fcntl
import itertools
import signal
import socket
import struct
import termios
import threading
import time
from subprocess import PIPE

import orjson
import pytest

from flowtools.core.event import rfc3339
from flowtools.event import Event
from flowtools.pool.inflight import InFlight
from flowtools.pool.limits import Halt, KeyRate
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.pause import Pause
from flowtools.pool.settings import RetryPolicy
from flowtools.worker import Reject, Unavailable
from tests.acks import Receiver
from tests.conftest import ROOT
from tests.running import SECONDS, until

pytest_plugins = ["tests.pool_fixtures"]

ISOLATIONS = pytest.mark.parametrize("isolation", ["thread", "process"])
QUICK = RetryPolicy(backoff=0.1, max_backoff=0.2)


class Server:
    """A server that a Worker calls: down until it is `up`; it records the calls."""

    def __init__(self):
        self.up = False
        self.calls = []

    def __call__(self, event):
        self.calls.append(event.data)
        if not self.up:
            raise Unavailable("refused")


@pytest.fixture
def down(start, tmp_path):
    """Start a command with a Worker of tests/down.py; `up()` starts the server."""

    notes = tmp_path / "notes"
    env = {"PYTHONPATH": str(ROOT), "NOTES": str(notes), "UP": str(tmp_path / "up")}

    class Down:
        def start(self, *args, command="flow-work", **more):
            return start(command, *args, stdin=PIPE, env=env | more)

        def calls(self):
            return notes.read_text().split() if notes.exists() else []

        def up(self):
            (tmp_path / "up").touch()

    return Down()


def feed(process, *values):
    process.stdin.write(b"".join(orjson.dumps(value) + b"\n" for value in values))
    process.stdin.flush()


def read_until(process, text):
    """Return the lines of stderr up to the one with `text`."""
    lines = []
    while text not in (lines[-1] if lines else ""):
        line = process.stderr.readline().decode()
        assert line, f"no {text!r} in {lines}"
        lines.append(line)
    return lines


# As seen by a user


@ISOLATIONS
def test_an_outage_costs_few_calls_and_no_event_or_attempt(down, isolation, tmp_path):
    process = down.start(
        "tests.down:Server", "-j", "8", "--isolation", isolation, "--retries", "3",
        "--backoff", "0.1", "--max-backoff", "0.2", "--failed", "failed", "--joblog", "jobs",
    )  # fmt: skip
    feed(process, *range(500))
    process.stdin.close()
    said = read_until(process, "paused")
    until(lambda: len(down.calls()) >= 12, "probes")
    down.up()
    said += process.stderr.read().decode().splitlines()
    assert process.wait() == 0, said
    assert len(said) == 2, said
    assert "paused: the server behind the Worker is down: event '" in said[0]
    assert "Unavailable: connection refused" in said[0]
    assert "continuing after a pause of" in said[1]
    calls = down.calls()
    assert sorted(map(int, set(calls))) == list(range(500))
    # One call per thread at most, a few probes, and then one call per event.
    assert len(calls) <= 500 + 8 + 20
    assert not (tmp_path / "failed").exists() or not (tmp_path / "failed").read_bytes()
    rows = [orjson.loads(line) for line in (tmp_path / "jobs").read_bytes().splitlines()]
    assert {row["attempt"] for row in rows} == {1}
    assert {row["outcome"] for row in rows if row["final"]} == {"done"}
    assert {row["outcome"] for row in rows if not row["final"]} == {"unavailable"}


@ISOLATIONS
@pytest.mark.parametrize("name", ["tests.down:Refused", "OSError", "builtins:OSError"])
def test_a_foreign_exception_named_by_pause_on_pauses_the_pool(down, isolation, name):
    process = down.start(
        "tests.down:Plain", "--isolation", isolation, "--backoff", "0.1",
        "--pause-on", "mailbox:Error", "--pause-on", name,
    )  # fmt: skip
    feed(process, 1, 2, 3)
    process.stdin.close()
    said = read_until(process, "paused")
    assert "Refused: connection refused" in said[0]
    down.up()
    assert process.wait() == 0
    assert down.calls()[-3:] == ["1", "2", "3"]


@ISOLATIONS
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("tests.down:Nothing", "there is no class 'Nothing'"),
        ("nowhere:Error", "there is no module 'nowhere'"),
        ("Refused", "write MODULE:CLASS"),
        ("tests.down:Plain", "it is not a subclass of Exception"),
        ("KeyboardInterrupt", "it is not a subclass of Exception"),
    ],
)
def test_an_exception_that_cannot_be_imported_is_reported_at_the_start(
    run, isolation, more, name, why
):
    status, _, err = run(
        "flow-work", "tests.down:Plain", "--isolation", isolation, "--pause-on", name, *more,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert status == 78
    assert name in err
    assert why in err


@ISOLATIONS
def test_a_signal_ends_a_pause_without_loss(down, isolation, tmp_path):
    process = down.start(
        "tests.down:Server", "-j", "4", "--isolation", isolation, "--failed", "failed",
        "--backoff", "60",
    )  # fmt: skip
    feed(process, *range(50))
    read_until(process, "paused")
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=SECONDS) == -signal.SIGTERM
    kept = [orjson.loads(line) for line in (tmp_path / "failed").read_bytes().splitlines()]
    assert sorted(event["data"] for event in kept) == list(range(50))
    assert {event["flowerror"] for event in kept} == {"not tried: the pool ended"}
    assert {event["flowattempts"] for event in kept} == {0}


def test_events_in_flight_stay_unsettled_during_a_pause(down, tmp_path):
    with Receiver(tmp_path / "acks") as receiver:
        process = down.start("tests.down:Server", "-j", "4", "--backoff", "0.1")
        events = [
            Event("t", n, source="s", id=str(n), ackto=receiver.ackto(f"e.{n}")) for n in range(8)
        ]
        process.stdin.write(b"".join(event.encode() for event in events))
        process.stdin.flush()
        read_until(process, "paused")
        until(lambda: len(down.calls()) >= 8, "probes")
        receiver.settimeout(0)
        with pytest.raises(TimeoutError):
            receiver.recv()
        receiver.settimeout(SECONDS)
        down.up()
        assert sorted(receiver.lines(8)) == [f"e.{n} ack" for n in range(8)]
        process.stdin.close()
        assert process.wait() == 0


def test_service_manager_and_metrics_show_the_pause(down, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(SECONDS)
        process = down.start(
            "tests.down:Server", "--backoff", "0.1", "--metrics", f"unix:{tmp_path / 'm'}",
            NOTIFY_SOCKET=str(tmp_path / "notify"),
        )  # fmt: skip
        feed(process, 1)
        read_until(process, "paused")
        heard = []
        while not (heard and heard[-1].startswith(b"STATUS=paused")):
            heard.append(manager.recv(1000))
        assert b"Unavailable: connection refused" in heard[-1]
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(tmp_path / "m"))
            asking.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with asking.makefile("rb") as answer:
                assert b"\nflowtools_paused 1.0\n" in answer.read()
        process.send_signal(signal.SIGUSR1)
        assert "; paused for " in read_until(process, " waiting; ")[-1]
        down.up()
        while heard[-1] != b"STATUS=":
            heard.append(manager.recv(1000))
        process.stdin.close()
        assert process.wait() == 0


def test_flow_run_pauses_together_with_its_source(down):
    process = down.start(
        "tests.down:Ticks", "--set", "Source.interval=0.02", "--count", "5", "--backoff", "0.1",
        command="flow-run",
    )  # fmt: skip
    read_until(process, "paused")
    until(lambda: len(down.calls()) >= 3, "probes")
    assert set(down.calls()) == {"1"}
    down.up()
    said = process.stderr.read().decode()
    assert process.wait() == 0, said
    assert down.calls()[-5:] == ["1", "2", "3", "4", "5"]


# Internals


def test_threads_that_find_the_server_down_together_begin_one_pause(pool, caplog):
    together, server = threading.Barrier(8), Server()

    def start(event):
        if not server.up and len(server.calls) < 8:
            server.calls.append(event.data)
            together.wait(SECONDS)
            raise Unavailable("refused")
        server(event)

    running = pool(start, threads=8, retry=QUICK)
    running.feed(*range(100))
    until(lambda: len(server.calls) > 10, "probes")
    server.up = True
    assert running.end() == {"done": 100}
    said = [record.getMessage().split()[0] for record in caplog.records if record.levelno >= 30]
    assert said == ["paused:", "continuing"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pause_keeps_the_order_of_a_key_and_of_a_single_thread(pool, threads):
    server, done = Server(), []

    def start(event):
        server(event)
        done.append(event.data)

    keyed = {"key": lambda event: str(event.data % 3)} if threads > 1 else {}
    running = pool(start, threads=threads, retry=QUICK, **keyed)
    running.feed(*range(60))
    until(lambda: len(server.calls) > 4 + threads, "probes")
    server.up = True
    assert running.end() == {"done": 60}
    for key in range(3):
        of_key = [n for n in done if n % 3 == key]
        assert of_key == sorted(of_key)
    assert threads > 1 or done == list(range(60))


def test_a_paused_pool_stops_reading_and_starts_only_probes(pool):
    server = Server()
    running = pool(server, threads=4, retry=QUICK)
    running.feed(0)
    until(lambda: running.work.pause.is_on, "the pause")
    running.feed(*range(1, 1000))
    probes = len(server.calls)
    until(lambda: len(server.calls) > probes + 3, "probes")
    unread = fcntl.ioctl(running.writer, termios.FIONREAD, struct.pack("i", 0))
    assert struct.unpack("i", unread) == (sum(len(str(n)) + 1 for n in range(1, 1000)),)
    assert set(server.calls) == {0}
    server.up = True
    assert running.end() == {"done": 1000}


def test_after_a_probe_that_fails_for_another_reason_the_next_event_is_tried(pool):
    server = Server()

    def start(event):
        if server.calls and event.data < 5:
            raise Reject("bad")
        server(event)

    running = pool(start, retry=QUICK)
    running.feed(*range(20))
    until(lambda: 5 in server.calls, "the first that is not bad")
    server.up = True
    assert running.end() == {"done": 15, "rejected": 5}


def test_after_a_probe_that_hangs_the_next_event_is_tried(pool):
    server, hung = Server(), threading.Event()

    def start(event):
        if server.calls and event.data == 0:
            hung.set()
            time.sleep(30)
        server(event)

    running = pool(start, retry=QUICK, timeout=0.1, grace=0.1)
    running.feed(*range(20))
    assert hung.wait(SECONDS)
    server.up = True
    assert running.end() == {"done": 19, "timeout": 1}


def test_halt_ignores_attempts_that_found_the_server_down(pool):
    server = Server()
    running = pool(server, threads=4, retry=QUICK, halt=Halt.parse("now,fail=1"))
    running.feed(*range(20))
    until(lambda: len(server.calls) > 8, "probes")
    server.up = True
    assert running.end() == {"done": 20}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"key": lambda event: str(event.data % 50)},
        {"key": lambda event: str(event.data % 50), "per_key": 3, "key_rate": KeyRate(2000.0)},
        {"timeout": 0.5},
    ],
)
def test_a_server_that_repeatedly_fails_causes_no_loss(pool, settings):
    server, calls, done = Server(), itertools.count(1), []

    def start(event):
        server.up = next(calls) % 100 > 3  # Down for a few calls from time to time.
        server(event)
        done.append(event.data)

    running = pool(start, threads=8, retry=QUICK, **settings)
    for begin in range(0, 600, 100):
        running.feed(*range(begin, begin + 100))
    assert running.end() == {"done": 600}
    assert sorted(done) == list(range(600))
    assert len(server.calls) > 600


def flight(number=1):
    return InFlight(Event("t", source="s", id=str(number)), b"1", number, 0.0)


def failure(after=None):
    return Failure(Outcome.UNAVAILABLE, "refused", after)


@pytest.fixture
def clock(monkeypatch):
    """The time that a Pause sees, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr("flowtools.pool.pause.monotonic", lambda: now[0])
    return now


def probe(pause, clock, flight):
    """Advance the clock until a probe may start, and start it; return the wait."""
    seconds = pause.opens() - clock[0]
    clock[0] = pause.opens() - 1e-6
    assert not pause.claim()
    clock[0] = pause.opens()
    assert pause.claim()
    assert not pause.claim()
    pause.send(flight)
    return seconds


def test_waits_between_probes_grow_up_to_max_backoff(clock):
    pause, first = Pause(RetryPolicy(backoff=1, max_backoff=10)), flight()
    pause.note(first, 0.0, failure())
    waits = []
    for _ in range(8):
        waits.append(probe(pause, clock, first))
        pause.note(first, clock[0], failure())
    for wait, longest in zip(waits, [1, 2, 4, 8, 10, 10, 10, 10], strict=True):
        assert longest / 2 <= wait <= longest


def test_a_probe_waits_as_long_as_the_worker_asked(clock):
    pause, first = Pause(RetryPolicy(backoff=1, max_backoff=10)), flight()
    pause.note(first, 0.0, failure(30.0))
    pause.note(flight(2), 0.0, failure(50.0))
    assert probe(pause, clock, first) == 50
    pause.note(first, clock[0], failure(30.0))
    assert probe(pause, clock, first) == 30


def test_without_backoff_there_is_still_a_wait_between_probes(clock):
    pause = Pause(RetryPolicy(backoff=0, max_backoff=0))
    pause.note(flight(), 0.0, failure())
    assert pause.opens() == clock[0] + 0.1


def test_a_pause_is_reported_at_growing_intervals(clock):
    said = []
    pause, first = Pause(RetryPolicy(backoff=10, max_backoff=10), said.append), flight()
    pause.note(first, 0.0, failure(10.0))
    for _ in range(360):
        probe(pause, clock, first)
        pause.note(first, clock[0], failure(10.0))
    assert len(said) == 1 + 5  # 1, 3, 7, 15 and 31 minutes.
    assert "still paused after 31m and 186 probes: refused; trying one event in" in said[-1]


def test_an_attempt_begun_before_the_end_of_a_pause_does_not_restart_it(clock):
    pause, first = Pause(RetryPolicy(backoff=1)), flight()
    pause.note(first, 0.0, failure())
    probe(pause, clock, first)
    assert pause.ended(first, is_done=True)
    assert not pause.is_on
    pause.note(flight(2), clock[0] - 5, failure())
    assert not pause.is_on


def test_an_event_taken_between_two_pauses_is_not_the_probe_of_the_second(clock):
    pause, first, between = Pause(RetryPolicy(backoff=1)), flight(), flight(2)
    pause.note(first, 0.0, failure())
    probe(pause, clock, first)
    pause.ended(first, is_done=True)
    assert pause.claim()  # By a thread that saw the first pause, which has ended meanwhile.
    pause.send(between)
    clock[0] += 1
    pause.note(flight(3), clock[0], failure())
    assert not pause.is_probe(between)
    assert not pause.ended(between, is_done=True)
    assert pause.is_on


def test_an_outage_that_returns_immediately_keeps_the_longer_waits(clock):
    pause, first = Pause(RetryPolicy(backoff=1)), flight()
    pause.note(first, 0.0, failure())
    for _ in range(3):
        probe(pause, clock, first)
        pause.note(first, clock[0], failure())
    probe(pause, clock, first)
    pause.ended(first, is_done=True)
    clock[0] += 1
    pause.note(flight(2), clock[0], failure())
    assert 8 <= pause.opens() - clock[0] <= 16
    probe(pause, clock, first)


# --retry-until


@pytest.mark.parametrize(
    ("age", "after", "low", "high"),
    [
        (0, None, 0.5, 1),
        (99.5, None, 0.5, 0.5),
        (100, None, None, None),
        (1e9, None, None, None),
        (10, 20.0, 20, 20),
        (90, 20.0, None, None),
    ],
)
def test_retry_until_retries_an_event_up_to_that_age(age, after, low, high):
    policy = RetryPolicy(backoff=1, retry_until=100.0)
    wait = policy.delay(1, Failure(Outcome.FAILED, "x", after), age)
    assert (low is None and wait is None) or low <= wait <= high
    assert policy.delay(1, Failure(Outcome.REJECTED, "x"), 0.0) is None


def test_the_age_of_an_event_counts_from_its_time_or_from_its_reading():
    old = Event("t", source="s", id="1", time=rfc3339(time.time() - 3600))
    assert 3600 <= InFlight(old, b"", 1, time.monotonic()).age < 3660
    for said in ("soon", 5):
        odd = Event("t", source="s", id="1")
        odd.attributes["time"] = said
        assert 10 <= InFlight(odd, b"", 1, time.monotonic() - 10).age < 60


@ISOLATIONS
def test_retry_until_ends_at_the_stated_age(run, isolation, tmp_path):
    old, new = (Event("t", "fail", source="s", id=str(n)) for n in range(2))
    old.attributes["time"] = rfc3339(time.time() - 3600)
    del new.attributes["time"]  # Its age counts from its reading: the start may take long.
    status, _, _ = run(
        "flow-work", "tests.workers:Whatever", "--retry-until", "3s", "--backoff", "0.1",
        "--joblog", "jobs", "--isolation", isolation, input=old.encode() + new.encode(),
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert status == 1
    rows = [orjson.loads(line) for line in (tmp_path / "jobs").read_bytes().splitlines()]
    assert [row["attempt"] for row in rows if row["id"] == "0"] == [1]
    of_new = [row for row in rows if row["id"] == "1"]
    assert len(of_new) > 1
    assert [row["final"] for row in of_new] == [False] * (len(of_new) - 1) + [True]


def test_retry_until_and_retries_exclude_each_other(run):
    status, _, err = run("flow-work", "x:Y", "--retries", "2", "--retry-until", "1h")
    assert (status, "--retries and --retry-until exclude each other" in err) == (2, True)
    status, _, err = run("flow-work", "x:Y", "--retry-until", "soon")
    assert status == 2
    assert "'soon' is not a length of time" in err
