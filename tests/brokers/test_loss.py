"""No event is lost, whatever is killed: `flow-listen-stomp | flow-work` on each real broker."""

import os
import random

import pytest

from flowtools.core.lines import BLOCK
from tests.brokers.ordeal import KINDS, THREADS, Ordeal

TOTAL = 20_000
PIPE = 65536
"""Bytes that a pipe holds (pipe(7))."""

TIMES = 2
"""How often each kind of fault happens."""


@pytest.fixture
def seed(show):
    """The seed for moments and order of the faults; set FLOWTOOLS_SEED to repeat a run."""
    chosen = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    show(f"FLOWTOOLS_SEED={chosen}")
    return chosen


def all_faults(ordeal):
    faults = list(KINDS) * TIMES
    ordeal.random.shuffle(faults)
    return faults


def is_empty(broker, queue):
    return lambda: broker.depth(queue) == 0


@pytest.mark.timeout(900)
def test_every_event_is_processed_whatever_is_killed(broker, queue, tmp_path, seed, show):
    with Ordeal(broker, queue, tmp_path, ack="worker", seed=seed) as ordeal:
        ordeal.publish(range(TOTAL))
        ordeal.start()
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
def test_with_ack_pipe_only_events_of_a_killed_flow_work_are_lost(
    broker, queue, tmp_path, seed, show
):
    with Ordeal(broker, queue, tmp_path, ack="pipe", seed=seed) as ordeal:
        ordeal.publish(range(TOTAL))
        ordeal.start()
        ordeal.run(TOTAL, all_faults(ordeal))
        ordeal.until(is_empty(broker, queue), 240, "the queue is empty")
        # Once flow-work has read everything, the pipeline ends only after the last event.
        assert ordeal.pipeline.end("flow-listen-stomp") == 128 + 15
        ordeal.tally.update()
        lost = len(ordeal.tally.missing(TOTAL))
        # Bytes in the pipe and in flow-work's buffer, and an event in each thread.
        bound = (PIPE + BLOCK) // ordeal.tally.shortest + THREADS
        show(ordeal.report(lost))
        show(f"lost with each killed flow-work: {lost / TIMES:g} events (at most {bound})")
        assert lost <= TIMES * bound
