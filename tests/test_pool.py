"""The pool: every line exactly once, time-outs that hold, retries, keys, order."""

import os
import socket
import sys
import threading
import time
from contextlib import contextmanager

import orjson
import pytest

from flowtools.core.lines import LineWriter
from flowtools.errors import FlowError, InternalError, ReaderGone
from flowtools.event import Event
from flowtools.pool.backlog import Backlog
from flowtools.pool.inflight import Claim, InFlight, Slot
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.results import MAX_BYTES, MAX_SPAN, OrderedResults
from flowtools.pool.runner import ThreadRunner
from flowtools.pool.settings import RetryPolicy
from flowtools.pool.work import Parts
from flowtools.worker import Reject, Retry, TimeLimit
from tests.acks import Receiver
from tests.pools import Call, Log
from tests.running import SECONDS, until

pytest_plugins = ["tests.pool_fixtures"]


def take(fd, count):
    """Read `count` bytes and forget them."""
    while count:
        count -= len(os.read(fd, min(count, 1 << 20)))


class Held:
    """A `start` that signals its beginning, and ends once it is released."""

    def __init__(self):
        self.began, self.release = threading.Event(), threading.Event()

    def __call__(self, event):
        self.began.set()
        self.release.wait(SECONDS)


def do_nothing(event):
    return None


@pytest.fixture
def hasty():
    """Switch threads as often as possible, to provoke races."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# Every line once


@pytest.mark.parametrize("threads", [1, 4, 16])
def test_every_line_is_run_exactly_once(pool, threads):
    seen = []
    running = pool(lambda event: seen.append(event.data), threads=threads)
    for start in range(0, 5000, 500):
        running.feed(*range(start, start + 500))
    assert running.end() == {"done": 5000}
    assert sorted(seen) == list(range(5000))


def test_a_last_line_without_a_newline_is_run(pool):
    seen = []
    running = pool(lambda event: seen.append(event.data))
    os.write(running.writer, b"1\n2")
    assert running.end() == {"done": 2}
    assert seen == [1, 2]


def test_empty_lines_are_skipped_and_the_others_keep_their_numbers(pool):
    running = pool(do_nothing)
    os.write(running.writer, b"\n1\n \r\n2\n")
    running.end()
    assert [attempt.number for attempt in running.log.attempts] == [2, 4]


def test_an_invalid_line_fails_alone(pool):
    running = pool(do_nothing, threads=2)
    os.write(running.writer, b'1\n{"a":\n{"specversion":"1.0"}\n2\n')
    assert running.end() == {"done": 2, "invalid": 2}
    errors = [attempt.error for attempt in running.log.attempts if attempt.outcome == "invalid"]
    assert errors == [
        "not JSON: unexpected end of data (column 6)",
        "not a CloudEvents 1.0 event: it has no 'id'",
    ]


def test_invalid_lines_left_by_a_stop_do_not_count_as_events(pool):
    start = Held()
    running = pool(start)
    os.write(running.writer, b'1\n{"a":\n\n2\n')
    assert start.began.wait(SECONDS)
    running.stop.set()
    until(lambda: running.work.control.stopping)
    start.release.set()
    assert running.end() == {"done": 1, "invalid": 1, "left": 1}


class Paced:
    """A pace that delays each start by the next of `seconds`, and records when it was asked."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)
        self.asked = []

    def wait_time(self, now):
        self.asked.append(now)
        return self.seconds.pop(0)


def test_each_start_asks_the_pace_once_and_waits_for_it(pool):
    pace = Paced(0.0, 0.2, 0.0)
    before = time.monotonic()
    starts = []
    running = pool(lambda event: starts.append(time.monotonic()), pace=pace)
    running.feed(1, 2, 3)
    assert running.end() == {"done": 3}
    assert sorted(pace.asked) == pace.asked
    assert before <= pace.asked[0] <= starts[0]
    assert pace.asked[2] >= starts[1] >= pace.asked[1] + 0.2


def test_a_stop_leaves_an_event_that_waits_for_its_pace(pool):
    pace = Paced(0.0, 1000.0)
    seen = []
    running = pool(lambda event: seen.append(event.data), pace=pace)
    running.feed(1, 2)
    until(lambda: len(pace.asked) == 2)
    running.stop.set()
    assert running.end() == {"done": 1, "left": 1}
    assert seen == [1]


class Ids:
    def __init__(self, *ids):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def __contains__(self, event):
        return event.id in self.ids


@pytest.mark.parametrize("threads", [1, 4])
def test_events_done_by_an_earlier_run_are_skipped(pool, threads):
    seen = []
    running = pool(lambda event: seen.append(event.id), threads=threads, done=Ids("b", "d"))
    known = {"specversion": "1.0", "source": "s", "type": "t"}
    running.feed(*(known | {"id": name} for name in "abcde"))
    assert running.end() == {"done": 3, "skipped": 2}
    assert sorted(seen) == ["a", "c", "e"]
    skipped = [each.event.id for each in running.log.attempts if each.outcome == "skipped"]
    assert sorted(skipped) == ["b", "d"]


def test_a_huge_integer_fails_only_its_line_wherever_a_block_ends(pool):
    running = pool(do_nothing, threads=2)
    for part in (b'1\n{"n": 1234567890', b"1234567890123}\n2\n", b"99999999999999999999\n", b"3\n"):
        os.write(running.writer, part)
        until(lambda: running.work.pool.is_idle())
    assert running.end() == {"done": 3, "invalid": 2}
    assert {a.error for a in running.log.attempts if a.error} == {
        "not JSON: integer 12345678901234567890123 exceeds 64 bits",
        "not JSON: integer 99999999999999999999 exceeds 64 bits",
    }


def test_a_line_beyond_the_limit_fails_alone(pool):
    log = Log()
    running = pool(do_nothing, Parts(recorders=[log], max_line=100))
    os.write(running.writer, b'"' + b"x" * 5000 + b'"\n"y"\n')
    assert running.end() == {"done": 1, "invalid": 1}
    assert log.attempts[0].error.startswith("longer than --max-line allows: ")


def test_a_line_is_dispatched_immediately_to_an_idle_thread(pool):
    began, release = [], threading.Event()

    def start(event):
        began.append(event.data)
        release.wait(SECONDS)

    running = pool(start, threads=3)
    for number in range(3):
        running.feed(number)
        until(lambda n=number: n in began, f"event {number}")
    release.set()
    assert running.end() == {"done": 3}


def test_the_pool_reads_at_most_one_block_ahead_of_its_threads(pool):
    release = threading.Event()
    running = pool(lambda event: release.wait(SECONDS))
    os.set_blocking(running.writer, False)
    line, written = b'"' + b"x" * 1021 + b'"\n', 0
    limit = time.monotonic() + 2
    while time.monotonic() < limit and written < 1000:
        try:
            os.write(running.writer, line)
            written += 1
        except BlockingIOError:
            time.sleep(0.01)
    assert written <= 64 + 64 + 16  # A full pipe, one block, and the event that runs.
    release.set()
    os.set_blocking(running.writer, True)
    assert running.end() == {"done": written}


# Time-outs


def test_an_event_beyond_the_timeout_fails_and_the_others_are_done(pool):
    def start(event):
        while event.data == "spin":
            pass

    running = pool(start, threads=2, timeout=0.2, grace=20)
    running.feed("spin", 1, "spin", 2)
    assert running.end() == {"done": 2, "timeout": 2}
    assert running.work.crew.abandoned == []


def test_all_threads_stuck_at_once_are_replaced_and_delay_nothing(pool):
    ends = []
    done = []

    def start(event):
        if event.data == "stuck":
            ends.append(socket.socketpair())
            ends[-1][0].recv(1)  # A C call, like time.sleep, that the test can end.
        else:
            done.append(event.data)

    running = pool(start, threads=4, timeout=0.1, grace=0.1)
    running.feed(*["stuck"] * 4, *range(100))
    assert running.end() == {"done": 100, "timeout": 4}
    assert sorted(done) == list(range(100))
    assert len(running.work.crew.slots) == 4
    assert len(running.work.crew.abandoned) == 4
    for _, far in ends:
        far.close()
    until(lambda: all(slot.ended for slot in running.work.crew.abandoned))
    for near, _ in ends:
        near.close()
    assert [a.outcome for a in running.log.attempts].count("timeout") == 4


def test_a_worker_that_swallows_its_time_limit_is_still_a_timeout(pool):
    caught = []

    def start(event):
        if event.data == "stubborn":
            try:
                while True:
                    time.sleep(0.001)
            except BaseException as error:
                caught.append(type(error))
                return "as if all were well"
        return None

    running = pool(start, timeout=0.1, grace=20)
    running.feed("stubborn", "next")
    assert running.end() == {"done": 1, "timeout": 1}
    assert caught == [TimeLimit]
    assert running.printed() == []


def test_except_exception_does_not_swallow_a_time_limit(pool):
    def start(event):
        while True:
            try:
                time.sleep(0.001)
            except Exception:
                return "swallowed"

    running = pool(start, timeout=0.1, grace=20)
    running.feed(1)
    assert running.end() == {"timeout": 1}
    assert running.printed() == []


def test_event_deadline_and_cancelled_show_that_time_is_up(pool):
    left = []

    def start(event):
        left.append(event.deadline - time.monotonic())
        while not event.cancelled():
            time.sleep(0.001)

    running = pool(start, timeout=0.2, grace=20)
    running.feed(1)
    running.end()
    assert 0 < left[0] <= 0.2


def test_without_a_timeout_nothing_is_cancelled(pool):
    seen = []
    running = pool(lambda event: seen.append((event.deadline, event.cancelled())), timeout=0)
    running.feed(1)
    assert running.end() == {"done": 1}
    assert seen == [(float("inf"), False)]


# Python drops an exception raised in a thread while it runs the callback of a weak reference.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_timeouts_racing_with_the_end_of_start_lose_and_tear_nothing(pool):
    """The watchdog and the thread decide at the same moment, thousands of times."""

    def start(event):
        time.sleep(0.001)
        return event.data

    running = pool(start, threads=8, timeout=0.00105, grace=20)
    for number in range(0, 2000, 100):
        running.feed(*range(number, number + 100))
    totals = running.end()
    assert sum(totals.values()) == 2000
    assert set(totals) <= {"done", "timeout"}
    finals = [attempt.number for attempt in running.log.attempts]
    assert sorted(finals) == list(range(1, 2001))


def test_a_claim_applies_only_to_its_own_attempt():
    slot = Slot(ThreadRunner(Call(do_nothing)))
    slot.deadline = deadline = time.monotonic()
    assert not slot.is_claimed()
    early = Claim("timeout", deadline)
    assert slot.put(early, deadline)
    slot.deadline = None
    assert slot.is_claimed()
    slot.claim = None
    slot.deadline = deadline + 0.0  # The next attempt, with an equal deadline.
    assert slot.deadline == deadline
    late = Claim("timeout", deadline)
    assert not slot.put(late, deadline)
    assert late.withdrawn
    assert not slot.is_claimed()
    assert [early.is_mine(), early.is_mine()] == [True, False]


def test_too_many_stuck_threads_end_the_pool_with_a_message(pool):
    ends = []

    def start(event):
        pair = socket.socketpair()
        ends.append(pair)
        pair[0].recv(1)

    running = pool(start, threads=2, timeout=0.05, grace=0.05, max_abandoned=3, drain=0.2)
    running.feed(*range(10))
    running.thread.join(SECONDS)
    assert isinstance(running.error, InternalError)
    assert "3 threads are stuck in the Worker (--max-abandoned 3)" in str(running.error)
    for _, far in ends:
        far.close()
    until(lambda: all(slot.ended for slot in running.work.crew.abandoned))
    for near, _ in ends:
        near.close()


# Failures and retries


def test_an_exception_fails_only_its_event_and_names_the_line(pool):
    def start(event):
        if event.data == "bad":
            raise ValueError("no\nsuch thing")

    running = pool(start)
    running.feed("bad", "good")
    assert running.end() == {"done": 1, "failed": 1}
    assert running.log.attempts[0].error.startswith("ValueError: no such thing (")
    assert "test_pool.py, line" in running.log.attempts[0].error


@pytest.mark.parametrize(
    "error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), TimeLimit()]
)
def test_any_exception_of_a_worker_fails_only_its_event(pool, error):
    def start(event):
        if event.data == "bad":
            raise error

    running = pool(start)
    running.feed("bad", "good")
    assert running.end() == {"done": 1, "failed": 1}


def test_a_failed_event_is_retried_as_often_as_configured(pool):
    def start(event):
        raise OSError("not yet")

    running = pool(start, retry=RetryPolicy(2, backoff=0.001))
    running.feed(1)
    assert running.end() == {"failed": 1}
    assert running.log.outcomes() == [
        (1, 1, "failed", False),
        (1, 2, "failed", False),
        (1, 3, "failed", True),
    ]


def test_ending_threads_do_not_forget_the_retry_of_the_last_line(pool, hasty):
    for _ in range(100):
        tries = []

        def start(event, tries=tries):
            tries.append(1)
            if len(tries) == 1:
                raise Retry("again", after=0.001)

        running = pool(start, threads=8)
        running.feed(1)
        assert running.end() == {"done": 1}


def test_the_timeout_applies_to_each_attempt(pool):
    tries = []

    def start(event):
        tries.append(1)
        while len(tries) < 3:
            pass

    running = pool(start, timeout=0.1, grace=20, retry=RetryPolicy(2, backoff=0.001))
    running.feed(1)
    assert running.end() == {"done": 1}
    assert [outcome for _, _, outcome, _ in running.log.outcomes()] == [
        "timeout",
        "timeout",
        "done",
    ]


def test_a_rejected_event_is_not_retried(pool):
    def start(event):
        raise Reject("bad")

    running = pool(start, retry=RetryPolicy(5))
    running.feed(1)
    assert running.end() == {"rejected": 1}
    assert len(running.log.attempts) == 1


def test_a_wait_for_a_retry_occupies_no_thread(pool):
    done = threading.Event()

    def start(event):
        if event.data == "later" and not done.is_set():
            raise Retry("later", after=0.2)
        if event.data == "last":
            done.set()

    running = pool(start, threads=1)
    running.feed("later", *range(50), "last")
    until(done.is_set, "the events behind the one that waits")
    assert running.end() == {"done": 52}


def test_a_retry_is_started_while_the_input_is_idle(pool):
    tries = []

    def start(event):
        tries.append(time.monotonic())
        if len(tries) == 1:
            raise Retry("again", after=0.05)

    running = pool(start, threads=2)
    running.feed(1)
    until(lambda: len(tries) == 2, "the second attempt")
    assert tries[1] - tries[0] >= 0.05


@pytest.mark.parametrize(
    ("policy", "attempt", "error", "low", "high"),
    [
        (RetryPolicy(3, backoff=1), 1, ValueError(), 0.5, 1),
        (RetryPolicy(3, backoff=1), 3, ValueError(), 2, 4),
        (RetryPolicy(3, backoff=1), 4, ValueError(), None, None),
        (RetryPolicy(99, backoff=1, max_backoff=10), 50, None, 5, 10),
        (RetryPolicy(9999, backoff=1), 5000, None, 150, 300),
        (RetryPolicy(0), 1, ValueError(), None, None),
        (RetryPolicy(0, backoff=1), 1, Retry(), 0.5, 1),
        (RetryPolicy(0), 1, Retry(after=7), 7, 7),
        (RetryPolicy(0, max_backoff=5), 1, Retry(after=7), 7, 7),
        (RetryPolicy(0, backoff=1), 1, Retry(after=-7), 0.5, 1),
        (RetryPolicy(0), 11, Retry(), None, None),
        (RetryPolicy(2), 3, Retry(), None, None),
        (RetryPolicy(9), 1, Reject(), None, None),
    ],
)
def test_the_wait_for_a_retry_grows_to_a_limit_or_is_set_by_the_worker(
    policy, attempt, error, low, high
):
    failure = Failure(Outcome.TIMEOUT, "") if error is None else Failure.of(error)
    waits = [policy.delay(attempt, failure) for _ in range(50)]
    if low is None:
        assert set(waits) == {None}
    else:
        assert all(low <= wait <= high for wait in waits)


# Keys and order


def test_events_of_one_key_run_one_at_a_time_and_in_order(pool):
    active, overlaps, seen = set(), [], {}

    def start(event):
        key, number = event["key"], event["n"]
        if key in active:
            overlaps.append(key)
        active.add(key)
        time.sleep(0.0005)
        seen.setdefault(key, []).append(number)
        active.discard(key)

    running = pool(start, threads=8, key=lambda event: event["key"])
    running.feed(*({"key": f"k{n % 7}", "n": n} for n in range(700)))
    assert running.end() == {"done": 700}
    assert overlaps == []
    assert all(numbers == sorted(numbers) for numbers in seen.values())
    assert sum(map(len, seen.values())) == 700


def test_events_of_one_key_start_in_order_despite_racing_threads(pool, hasty):
    seen = []
    running = pool(lambda event: seen.append(event.data), threads=8, key=lambda event: "k")
    for number in range(0, 5000, 500):
        running.feed(*range(number, number + 500))
    assert running.end() == {"done": 5000}
    assert seen == list(range(5000))


def test_with_one_thread_a_retry_keeps_its_place_while_other_keys_continue(pool):
    seen = []

    def start(event):
        seen.append((event["key"], event["n"]))
        if seen.count(("a", 1)) < 3 and event["key"] == "a" and event["n"] == 1:
            raise Retry("again", after=0.05)

    running = pool(start, threads=1, key=lambda event: event["key"])
    running.feed(*({"key": key, "n": n} for n in (1, 2, 3) for key in "ab"))
    assert running.end() == {"done": 6}
    assert [n for key, n in seen if key == "a"] == [1, 1, 1, 2, 3]
    assert seen.index(("b", 3)) < seen.index(("a", 2))


def test_a_retry_keeps_the_place_of_its_key_while_other_keys_continue(pool):
    seen, failed = [], []

    def start(event):
        if event["key"] == "a" and event["n"] == 1 and len(failed) < 2:
            failed.append(1)
            raise Retry("again", after=0.05)
        seen.append((event["key"], event["n"]))

    running = pool(start, threads=4, key=lambda event: event["key"])
    running.feed(*({"key": key, "n": n} for n in (1, 2, 3) for key in "ab"))
    assert running.end() == {"done": 6}
    assert [n for key, n in seen if key == "a"] == [1, 2, 3]
    assert [n for key, n in seen if key == "b"] == [1, 2, 3]
    assert seen.index(("b", 3)) < seen.index(("a", 1))


def test_an_event_without_a_key_runs_independently(pool):
    running = pool(do_nothing, threads=2, key=lambda event: None)
    running.feed(1, 2, 3)
    assert running.end() == {"done": 3}


def test_a_key_continues_after_a_stuck_event(pool):
    ends, seen = [], []

    def start(event):
        if event.data == 1:
            ends.append(socket.socketpair())
            ends[0][0].recv(1)
        seen.append(event.data)

    running = pool(start, threads=2, timeout=0.05, grace=0.05, key=lambda event: "k")
    running.feed(1, 2, 3)
    assert running.end() == {"done": 2, "timeout": 1}
    assert seen == [2, 3]
    ends[0][1].close()
    until(lambda: all(slot.ended for slot in running.work.crew.abandoned))
    ends[0][0].close()


def test_keep_order_writes_results_in_input_order(pool):
    def start(event):
        time.sleep(0.01 if event.data % 5 == 0 else 0)
        return event.data

    log = Log()
    running = pool(start, Parts(recorders=[log], keep_order=True), threads=8)
    running.feed(*range(200))
    assert running.end() == {"done": 200}
    assert [event["data"] for event in running.printed()] == list(range(200))


def test_keep_order_waits_for_retries_and_skips_lines_without_results(pool):
    tries = []

    def start(event):
        if event.data == 1 and len(tries) < 2:
            tries.append(1)
            raise Retry("again", after=0.02)
        if event.data == 3:
            raise ValueError("no")
        return event.data

    running = pool(start, Parts(keep_order=True), threads=4)
    os.write(running.writer, b"1\n\n{bad\n2\n3\n4\n")
    assert running.end() == {"done": 3, "failed": 1, "invalid": 1}
    assert [event["data"] for event in running.printed()] == [1, 2, 4]


def test_results_waiting_for_an_earlier_one_are_bounded_in_number_and_bytes():
    reader, writer = os.pipe()
    told = []
    results = OrderedResults(LineWriter(writer))
    results.put(2, [b"x" * MAX_BYTES], lambda: told.append(2))
    assert results.is_full
    for number in range(3, 2 + MAX_SPAN):
        results.put(number, [], lambda number=number: told.append(number))
    assert told == list(range(3, 2 + MAX_SPAN))  # Events without results do not wait.
    taker = threading.Thread(target=lambda: take(reader, MAX_BYTES + 2))
    taker.start()
    results.put(1, [b"1\n"], lambda: told.append(1))
    taker.join(SECONDS)
    assert told[-2:] == [1, 2]
    assert not results.is_full
    os.close(reader)
    os.close(writer)


def test_a_full_backlog_stops_the_reading_and_loses_nothing():
    backlog = Backlog(max_events=2)
    event = Event("t", source="s")
    assert backlog.enter(InFlight(event, b"1", 1, 0.0, key="k"), "k")
    assert not backlog.enter(InFlight(event, b"2", 2, 0.0, key="k"), "k")
    assert not backlog.is_full
    assert not backlog.enter(InFlight(event, b"3", 3, 0.0, key="k"), "k")
    assert backlog.is_full
    assert backlog.take() is None
    backlog.leave("k")
    assert backlog.take().number == 2
    assert not backlog.is_full
    assert [job.number for job in backlog.drain()] == [3]


def test_a_backlog_is_bounded_in_bytes_too():
    backlog = Backlog(max_bytes=10)
    backlog.delay(InFlight(Event("t", source="s"), b"x" * 10, 1, 0.0), 60)
    assert backlog.is_full
    assert backlog.take() is None


# The end


def test_a_stop_finishes_running_events_and_leaves_the_rest(pool):
    start = Held()
    running = pool(start)
    running.feed(*range(10))
    assert start.began.wait(SECONDS)
    running.stop.set()
    until(lambda: running.work.control.stopping)
    start.release.set()
    assert running.end() == {"done": 1, "left": 9}


def test_events_that_outlast_the_drain_are_cancelled_and_left(pool):
    began = threading.Event()

    def start(event):
        began.set()
        while True:
            time.sleep(0.001)

    running = pool(start, drain=0.05, grace=20)
    running.feed(1, 2)
    assert began.wait(SECONDS)
    running.stop.set()
    assert running.end() == {"left": 2}


def test_a_closed_reader_ends_the_pool(pool):
    running = pool(lambda event: event.data, threads=4)
    os.close(running.out)
    running.out = os.open(os.devnull, os.O_RDONLY)
    running.reads = False
    running.feed(*range(100))
    running.end()
    assert isinstance(running.error, ReaderGone)


# Acknowledgement


@contextmanager
def receiver(tmp_path):
    """The socket of a source, and an AckSender."""
    from flowtools.ack.sender import AckSender

    path = tmp_path / "ack"
    with Receiver(path) as server:
        yield server, AckSender(), f"unix:{path}#e"


def received(server, count):
    """The first `count` acknowledgements that arrive."""
    lines = []
    while len(lines) < count:
        lines += server.recv(65536).decode().splitlines()
    return sorted(lines)


def line_with(ackto, number, data):
    event = Event("t", data, source="s", id=str(number), ackto=f"{ackto}.{number}")
    return orjson.loads(event.encode())


def test_done_events_are_acknowledged_and_failed_ones_rejected(pool, tmp_path):
    def start(event):
        if event.data == "bad":
            raise ValueError("no")

    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(start, acks=acks, threads=2)
        running.feed(line_with(ackto, 1, "good"), line_with(ackto, 2, "bad"))
        assert running.end() == {"done": 1, "failed": 1}
        done, failed = received(server, 2)
        assert done == "e.1 ack"
        token, verdict, reason = failed.split(" ", 2)
        assert (token, verdict) == ("e.2", "nack")
        assert orjson.loads(reason)["error"].startswith("ValueError: no")
        assert orjson.loads(reason)["attempts"] == 1


def test_a_failed_event_kept_in_the_failed_file_is_acknowledged(pool, tmp_path):
    kept = []

    class Kept:
        def write(self, attempt):
            kept.append(attempt.line)

    def start(event):
        raise ValueError("no")

    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(start, Parts(failures=Kept()), acks=acks)
        running.feed(line_with(ackto, 1, "bad"))
        assert running.end() == {"failed": 1}
        assert received(server, 1) == ["e.1 ack"]
    assert len(kept) == 1


def test_queued_events_are_counted_while_the_pool_runs(pool):
    start = Held()
    running = pool(start)
    running.feed(1, 2, 3)
    assert start.began.wait(SECONDS)
    until(lambda: running.work.pool.queued() == 2)
    assert not running.work.pool.is_idle()
    start.release.set()
    assert running.end() == {"done": 3}
    assert running.work.pool.queued() == 0


def test_a_failed_event_that_cannot_be_kept_stays_unacknowledged(pool, tmp_path):
    class Full:
        def write(self, attempt):
            raise FlowError("cannot write 'failed': No space left on device")

    def start(event):
        if event.data == "bad":
            raise ValueError("no")

    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(start, Parts(failures=Full()), acks=acks)
        running.feed(line_with(ackto, 1, "good"), line_with(ackto, 2, "bad"))
        running.end()
        assert "No space left" in str(running.error)
        assert received(server, 1) == ["e.1 ack"]
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recv(100)


def test_events_left_by_a_stop_stay_unsettled(pool, tmp_path):
    start = Held()
    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(start, acks=acks)
        running.feed(line_with(ackto, 1, "runs"), line_with(ackto, 2, "waits"))
        assert start.began.wait(SECONDS)
        running.stop.set()
        until(lambda: running.work.control.stopping)
        start.release.set()
        assert running.end() == {"done": 1}
        assert received(server, 1) == ["e.1 ack"]
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.recv(100)


def test_pass_forwards_the_line_with_the_duty_to_acknowledge(pool, tmp_path):
    def start(event):
        if event.data == "bad":
            raise ValueError("no")

    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(start, acks=acks, pass_on=True)
        good = line_with(ackto, 1, "good")
        running.feed(good, line_with(ackto, 2, "bad"))
        assert running.end() == {"done": 1, "failed": 1}
        assert running.printed() == [good]
        assert received(server, 1)[0].startswith("e.2 nack {")


def test_a_malformed_ackto_is_a_warning_and_stops_nothing(pool, tmp_path, caplog):
    with receiver(tmp_path) as (server, acks, ackto):
        running = pool(do_nothing, acks=acks)
        event = Event("t", 1, source="s", id="x", ackto="nonsense")
        running.feed(orjson.loads(event.encode()), line_with(ackto, 2, "good"))
        assert running.end() == {"done": 2}
        assert received(server, 1) == ["e.2 ack"]
    assert "line 1: cannot acknowledge 'nonsense'" in caplog.text
