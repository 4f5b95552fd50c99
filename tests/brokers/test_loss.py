"""Nothing is lost, whatever dies: `flow-listen-stomp | flow-work` on each real broker."""

import os
import random

import pytest

from tests.brokers.ordeal import KINDS, Ordeal
from tests.brokers.tally import wait_for

TOTAL = 20_000
TIMES = 2
"""How often each kind of fault happens."""


@pytest.fixture
def seed(capsys):
    """What the moments and the order of the faults depend on; FLOWTOOLS_SEED repeats a run."""
    chosen = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    with capsys.disabled():
        print(f"\nFLOWTOOLS_SEED={chosen}", flush=True)
    return chosen


@pytest.fixture
def show(capsys):
    """Print past pytest's capture: these tables are what one runs the test for."""

    def show(text):
        with capsys.disabled():
            print(text, flush=True)

    return show


def all_faults(ordeal):
    faults = list(KINDS) * TIMES
    ordeal.random.shuffle(faults)
    return faults


def is_empty(broker, queue):
    return lambda: broker.depth(queue) == 0


@pytest.mark.timeout(900)
def test_whatever_dies_every_event_is_done(broker, queue, tmp_path, seed, show):
    with Ordeal(broker, queue, tmp_path, ack="worker", seed=seed) as ordeal:
        ordeal.publish(range(TOTAL))
        broker.settle()
        ordeal.run(TOTAL, all_faults(ordeal))
        ordeal.until(lambda: ordeal.tally.done == TOTAL, 240, "every event is done")
        ordeal.until(is_empty(broker, queue), 60, "every message is acknowledged")
        status = ordeal.pipeline.end("flow-listen-stomp")
        ordeal.tally.update()
        show(ordeal.report())
        assert ordeal.tally.missing(TOTAL) == []
        assert ordeal.tally.duplicates <= ordeal.most_duplicates
        assert broker.depth(f"{queue}.failed") == 0
        assert status == 128 + 15


@pytest.mark.timeout(900)
def test_with_ack_pipe_only_what_a_killed_worker_held_is_lost(broker, queue, tmp_path, seed, show):
    with Ordeal(broker, queue, tmp_path, ack="pipe", seed=seed) as ordeal:
        ordeal.publish(range(TOTAL))
        broker.settle()
        ordeal.run(TOTAL, all_faults(ordeal))
        lines = -1

        def at_rest():
            nonlocal lines
            before, lines = lines, ordeal.tally.lines
            return before == lines and broker.depth(queue) == 0

        ordeal.until(at_rest, 240, "the queue is empty and nothing is done any more")
        assert ordeal.pipeline.end("flow-listen-stomp") == 128 + 15
        wait_for(lambda: True, 1, tend=ordeal.tend, what="the last lines")
        ordeal.tally.update()
        lost = len(ordeal.tally.missing(TOTAL))
        show(ordeal.report(lost))
        show(f"lost for each killed flow-work: {lost / TIMES:g} (bound: PIPE_HOLDS)")
