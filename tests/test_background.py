"""The thread of a hot folder that compares checksums, or moves files."""

import threading

import pytest

from flowtools.core.wait import wait
from flowtools.source.folder.background import Background
from tests.running import SECONDS, until


@pytest.fixture
def started():
    """Start a Background; its thread has ended after the test."""
    made = []

    def start(work, *, finishes=True):
        made.append(Background("test", work, finishes=finishes))
        return made[-1]

    yield start
    for each in made:
        each.close()
        each.release()


def test_results_come_in_the_order_of_the_jobs(started):
    background = started(str)
    for job in range(100):
        background.put(job)
    found = []
    while len(found) < 100:
        assert wait(background, seconds=30)
        found += background.fetch()
    assert found == list(map(str, range(100)))


@pytest.mark.parametrize("finishes", [True, False])
def test_close_finishes_or_leaves_the_remaining_jobs(started, finishes):
    begun, go = threading.Event(), threading.Event()

    def work(job):
        begun.set()
        assert go.wait(SECONDS)
        return job

    background = started(work, finishes=finishes)
    for job in range(3):
        background.put(job)
    assert begun.wait(SECONDS)
    ending = threading.Thread(target=background.close)
    ending.start()
    until(lambda: background.is_ending)
    go.set()
    ending.join(SECONDS)
    assert background.fetch() == ([0, 1, 2] if finishes else [0])


def test_fetch_raises_the_exception_of_a_job(started):
    background = started(lambda job: 1 // job)
    background.put(1)
    background.put(0)
    background.close()
    assert background.fetch() == [1]
    assert wait(background, seconds=0)
    with pytest.raises(ZeroDivisionError):
        background.fetch()
    assert background.fetch() == []
