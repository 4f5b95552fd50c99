"""--rate: its forms and its timing, on a simulated clock."""

import threading
from itertools import pairwise

import pytest

from flowtools.errors import UsageError
from flowtools.pool.limits import CREDIT, Rate


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10/s", 0.1), ("600/m", 0.1), ("3600/h", 1.0), ("0.5/s", 2.0), ("1/h", 3600.0)],
)
def test_starts_are_spaced_evenly(text, seconds):
    rate = Rate.parse(text)
    first = rate.wait_time(1000.0)
    waits = [rate.wait_time(1000.0) for _ in range(3)]
    assert first == 0.0
    gaps = [later - earlier for earlier, later in pairwise(waits)]
    assert gaps == pytest.approx([seconds] * 2)


def test_no_second_has_more_starts_than_the_rate_plus_the_credit():
    rate, now, starts = Rate.parse("100/s"), 5.0, []
    for _ in range(500):
        now += rate.wait_time(now)
        starts.append(now)
    busiest = max(sum(start <= each < start + 1 for each in starts) for start in starts)
    assert 100 <= busiest <= 111


def test_idle_time_allows_no_burst_beyond_the_credit():
    rate = Rate.parse("100/s")
    rate.wait_time(0.0)
    waits = [rate.wait_time(3600.0) for _ in range(200)]
    assert waits.count(0.0) <= CREDIT * 100 + 2
    assert waits[-1] > 1.8


def test_threads_that_wake_late_do_not_lower_the_rate():
    rate, now, count = Rate.parse("100/s"), 0.0, 0
    while now < 10.0:
        now += rate.wait_time(now) + 0.004
        count += 1
    assert 990 <= count <= 1012


def test_every_start_time_is_reserved_once():
    rate, waits = Rate.parse("1000/s"), []

    def reserve():
        waits.extend([rate.wait_time(7.0) for _ in range(250)])

    threads = [threading.Thread(target=reserve) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(waits) == pytest.approx(2000 * 0.001 - CREDIT, abs=0.002)


@pytest.mark.parametrize("text", ["", "10", "0/s", "0.0/m", "-1/s", "x/s", "10/d", "10 / s", "/s"])
def test_a_malformed_rate_is_refused_with_the_expected_form(text):
    with pytest.raises(UsageError, match=r"is not a rate: expected N/s, N/m or N/h"):
        Rate.parse(text)
