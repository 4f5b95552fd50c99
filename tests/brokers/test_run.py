"""flow-run loses nothing on a real broker, whenever it is killed."""

import contextlib
import random

import orjson
import pytest

from tests.brokers.pipeline import Pipeline
from tests.brokers.tally import Tally, wait_for

TOTAL = 6000
KILLS = 25
THREADS = 4
PREFETCH = 64
BAD = 50
"""One in BAD events fails permanently."""

WORKER = """
from flowtools.source.stomp import GenericStompListener
from note import Note


class Run(Note):
    SOURCE = GenericStompListener

    def start(self, event):
        super().start(event)
        if event["body"]["n"] % %d == 7:
            raise ValueError("bad")
""".replace("%d", str(BAD))


@pytest.mark.timeout(1200)
def test_flow_run_processes_every_event_although_it_is_killed_repeatedly(
    broker, queue, tmp_path, request, show
):
    seed = random.SystemRandom().randrange(10**6)
    dice = random.Random(seed)
    tally = Tally(tmp_path)
    request.addfinalizer(tally.close)
    (tmp_path / "run.py").write_text(WORKER)
    bodies = (orjson.dumps({"n": number, "pad": "x" * 100}) for number in range(TOTAL))
    with broker.connect() as wire:
        wire.publish(queue, bodies, **{"content-type": "application/json"})
    broker.settle()
    line = (
        f"flow-run -q -j {THREADS} --prefetch {PREFETCH} --heart-beat 1,1"
        f" run:Run --set 'Source.url={broker.url(queue)}'"
    )
    login = {"FLOW_USER": broker.user, "FLOW_PASSWORD": broker.password}
    with Pipeline(line, tmp_path, PAUSE="0.004", **login) as pipeline:

        def tend():
            pipeline.tend()
            tally.update()

        def until(condition, what):
            wait_for(condition, 240, tend=tend, what=f"{what}; {pipeline.log.read_text()[-2000:]}")

        for moment in sorted(dice.sample(range(TOTAL * 9 // 10), KILLS)):
            until(lambda: tally.done >= moment, f"{moment} events")  # noqa: B023
            # At any moment: while it starts, connects, works or acknowledges.
            with contextlib.suppress(TimeoutError):
                wait_for(lambda: False, dice.random() * 0.4, tend=tend, what="a moment")
            until(lambda: pipeline.kill("flow-run"), "flow-run runs")
        until(lambda: tally.done == TOTAL, "every event is done")
        until(lambda: broker.depth(queue) == 0, "every message is acknowledged")
        status = pipeline.end("flow-run")
    moved = broker.depth(f"{queue}.failed")
    bad = sum(number % BAD == 7 for number in range(TOTAL))
    show(
        f"{broker.name}, seed {seed}: {KILLS} times killed, {tally.done} of {TOTAL} done,"
        f" {tally.duplicates} twice, {moved} moved to the dead-letter destination ({bad} bad)"
    )
    assert tally.missing(TOTAL) == []
    assert tally.duplicates <= KILLS * PREFETCH
    # A kill between sending the copy and acknowledging the original may move a message twice.
    assert bad <= moved <= bad + KILLS
    assert status == -15  # bash has become the only command of its line.
