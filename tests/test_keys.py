"""--per-key and --key-rate: how many events of a key run at a time, and start in a second."""

import threading
import time
from functools import partial
from subprocess import PIPE

import orjson
import pytest

from flowtools.errors import UsageError
from flowtools.event import Event
from flowtools.pool.backlog import Backlog
from flowtools.pool.inflight import InFlight
from flowtools.pool.keys import Keys
from flowtools.pool.limits import CREDIT, KeyRate
from flowtools.pool.settings import RetryPolicy
from flowtools.worker import Retry
from tests.conftest import ROOT
from tests.running import SECONDS, until

pytest_plugins = ["tests.pool_fixtures"]


@pytest.fixture
def keyed(pool):
    """Start a pool that orders events by the key in their data."""
    return partial(pool, key=lambda event: event["key"])


def events(*keys):
    return [{"key": key, "n": n} for n, key in enumerate(keys)]


class Busy:
    """A `start` that notes how many events of a key run at once, and waits for its release."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now, self.most = {}, {}
        self.order = []
        self.release = threading.Event()

    def __call__(self, event):
        key = event["key"]
        with self.lock:
            self.order.append(event["n"])
            self.now[key] = self.now.get(key, 0) + 1
            self.most[key] = max(self.most.get(key, 0), self.now[key])
        self.release.wait(SECONDS)
        with self.lock:
            self.now[key] -= 1


@pytest.mark.parametrize("per_key", [1, 2, 3])
def test_at_most_per_key_events_of_a_key_run_while_others_run_beside_them(keyed, per_key):
    start = Busy()
    running = keyed(start, threads=8, per_key=per_key)
    running.feed(*events(*"aaaaaaaaaab"))
    until(lambda: start.now == {"a": per_key, "b": 1}, "the events that may run")
    start.release.set()
    assert running.end() == {"done": 11}
    assert start.most == {"a": per_key, "b": 1}


def test_events_of_a_key_start_in_input_order(keyed):
    start = Busy()
    start.release.set()
    running = keyed(start, threads=4, per_key=1)
    running.feed(*events(*"aaaaaaaaaaaaaaaaaaaa"))
    assert running.end() == {"done": 20}
    assert start.order == list(range(20))


def test_an_event_waiting_for_a_retry_keeps_its_place(keyed):
    tried = []

    def start(event):
        number = event["n"]
        is_first = number not in tried
        tried.append(number)
        if is_first and number < 2:
            raise Retry

    policy = RetryPolicy(retries=3, backoff=0.05)
    running = keyed(start, threads=4, per_key=2, retry=policy)
    running.feed(*events(*"aaa"))
    assert running.end() == {"done": 3}
    assert set(tried[:2]) == {0, 1}
    assert tried.index(2) >= 3  # After the second attempt of one of them.


@pytest.mark.parametrize("threads", [1, 8])
def test_key_rate_limits_a_key_without_delaying_others(keyed, threads):
    starts = {}

    def start(event):
        starts.setdefault(event["key"], []).append(time.monotonic())

    running = keyed(start, threads=threads, per_key=100, key_rate=KeyRate(20.0))
    running.feed(*events(*"aaaaaaaaaaaaaaa", *map(str, range(100))))
    assert running.end() == {"done": 115}
    assert starts["a"][-1] - starts["a"][0] > 14 / 20 - 2 * CREDIT
    # All others had started before the last event of the slow key.
    assert max(starts[str(n)][0] for n in range(100)) < starts["a"][-1]


def test_key_rate_keeps_the_order_of_a_key(keyed):
    order = []
    running = keyed(lambda event: order.append(event["n"]), threads=4, key_rate=KeyRate(200.0))
    running.feed(*events(*"abcabcabcabcabcabc"))
    assert running.end() == {"done": 18}
    for key in range(3):
        of_key = [n for n in order if n % 3 == key]
        assert of_key == sorted(of_key)


def test_a_waiting_retry_reserves_no_start():
    clock = time.monotonic()
    pace = KeyRate(0.001)
    backlog = Backlog(keys=Keys(2, pace))
    first, second = (
        InFlight(Event("t", source="s", id=str(n)), b"1", n, 0.0, key="k") for n in (1, 2)
    )
    assert backlog.enter(first, "k")
    backlog.delay(first, 100.0)
    assert not backlog.enter(second, "k")  # 1000 s after the first, and not 1100.
    assert backlog.take() is None
    assert pace.wait_time("k", clock) == pytest.approx(2000, abs=2)


def test_keys_are_paced_independently():
    rate = KeyRate.parse("10/s")
    assert [rate.wait_time("a", 5.0) for _ in range(3)] == pytest.approx([0, 0, 0.1])
    assert rate.wait_time("b", 5.0) == 0
    assert rate.wait_time("a", 6.0) == 0


def test_keys_that_may_start_immediately_are_forgotten(caplog):
    rate = KeyRate(10.0, most=1000)
    for number in range(100_000):
        rate.wait_time(f"k{number}", number / 1000)
        assert len(rate._next) <= 1001
    assert not caplog.records


def test_the_number_of_remembered_keys_is_bounded_with_one_warning(caplog):
    rate = KeyRate.parse("1/h")
    rate._most = 1000
    for number in range(10_000):
        rate.wait_time(f"k{number}", number / 1000)
        assert len(rate._next) <= 1001
    # The last key is still remembered.
    assert rate.wait_time("k9999", 10.0) > 3590
    (record,) = caplog.records
    assert "--key-rate: more than 1001 keys" in record.getMessage()


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_flow_work_applies_per_key_and_key_rate(start, tmp_path, isolation):
    process = start(
        "flow-work", "tests.workers:Meet", "-j", "6", "--key", "/key", "--per-key", "3",
        "--key-rate", "1000/s", "--isolation", isolation, stdin=PIPE,
        env={"PYTHONPATH": str(ROOT), "NOTES": str(tmp_path / "notes"), "MEET": "6"},
    )  # fmt: skip
    lines = b"".join(orjson.dumps(each) + b"\n" for each in events(*"aaaaaabbbbbb"))
    _, err = process.communicate(lines, timeout=SECONDS)
    assert process.returncode == 0, err
    met = (tmp_path / "notes").read_text().split()
    assert sorted(met[:6]) == ["a", "a", "a", "b", "b", "b"]
    assert sorted(met) == ["a"] * 6 + ["b"] * 6


@pytest.mark.parametrize("option", [["--per-key", "3"], ["--key-rate", "3/s"]])
def test_per_key_and_key_rate_need_key(run, option):
    status, _, err = run("flow-work", "x:Y", *option)
    assert status == 2
    assert f"{option[0]} needs --key EXPR" in err


def test_a_malformed_rate_is_refused():
    with pytest.raises(UsageError, match="expected N/s"):
        KeyRate.parse("3")
