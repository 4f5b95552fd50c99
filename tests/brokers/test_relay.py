"""Killing any command loses nothing while the duty to acknowledge is relayed between commands."""

import os
import random
import signal
from contextlib import suppress
from pathlib import Path

import orjson
import pytest

from tests.brokers.pipeline import Pipeline
from tests.brokers.server import session_of
from tests.brokers.tally import wait_for
from tests.conftest import KILLS

ROUNDS = int(os.environ.get("FLOWTOOLS_ROUNDS") or KILLS)
"""Rounds of one kill each; the figures in benchmarks/README.md are of 30."""

EVENTS = 500

WORKERS = '''
"""Make two events of each; note which come to the end of a branch."""

import os


class Twice:
    def start(self, event):
        n = event["body"]["n"]
        yield {"n": n, "part": 0}
        yield {"n": n, "part": 1}


class Note:
    def __init__(self):
        self._file = os.open("noted", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def start(self, event):
        os.write(self._file, f"{event['n']}.{event['part']}\\n".encode())
'''


class Chain:
    """The pipeline, and what has arrived at the ends of its two branches."""

    def __init__(self, broker, queue, folder):
        (folder / "parts.py").write_text(WORKERS)
        (folder / "noted").touch()
        self._noted = folder / "noted"
        self._broker = broker
        self.queue, self.sent_to = queue, f"{queue}-out"
        listen = f"flow-listen-stomp --ack worker --prefetch 64 '{broker.url(queue)}'"
        line = (
            f"{listen} | flow-jq 'select(.data.body.n >= 0)' |"
            " flow-work --relay -j 2 parts:Twice | flow-tee >(flow-work -j 2 parts:Note) |"
            f" flow-send --raw '{broker.url(self.sent_to)}'"
        )
        self.pipeline = Pipeline(line, folder)
        self.published = 0
        self.arrived = set()

    def publish(self):
        # Every tenth is for flow-jq to drop.
        numbers = range(self.published, self.published + EVENTS)
        bodies = [orjson.dumps({"n": n if n % 10 else -1}) for n in numbers]
        with self._broker.connect() as wire:
            wire.publish(self.queue, bodies, **{"content-type": "application/json"})
        self.published += EVENTS

    def expected(self):
        return {f"{n}.{part}" for n in range(self.published) if n % 10 for part in (0, 1)}

    def noted(self):
        return set(self._noted.read_text().split())

    def sent(self):
        """Take what has arrived in the second queue."""
        left = self._broker.depth(self.sent_to)
        with self._broker.connect() as wire:
            wire.subscribe(self.sent_to)
            for _ in range(left):
                _, body = wire.expect("MESSAGE")
                made = orjson.loads(body)
                self.arrived.add(f"{made['n']}.{made['part']}")
        return self.arrived

    def kill_one(self, chance):
        """Kill a random command; return its name."""
        running = []
        for pid in session_of(self.pipeline._process.pid):
            with suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                name = next((w for w in map(os.path.basename, words[:2]) if w[:5] == "flow-"), "")
                if name:
                    running.append((pid, name))
        if not running:
            return None
        pid, name = chance.choice(sorted(running))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return name


@pytest.mark.timeout(1800)
def test_killing_any_command_of_a_chain_loses_no_event(rabbitmq, queue, tmp_path, show):
    seed = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    chance = random.Random(seed)
    chain = Chain(rabbitmq, queue, tmp_path)
    killed = []
    with chain.pipeline as pipeline:
        for _ in range(ROUNDS):
            chain.publish()
            reached = len(chain.noted()) + chance.randrange(1, 2 * EVENTS * 9 // 10)
            with suppress(TimeoutError):
                wait_for(
                    lambda reached=reached: len(chain.noted()) >= reached,
                    5,
                    tend=pipeline.tend,
                    what="the moment of the kill",
                )
            killed.append(chain.kill_one(chance))
            wait_for(
                lambda: rabbitmq.depth(queue) == 0 and chain.noted() >= chain.expected(),
                90,
                tend=pipeline.tend,
                what=f"all is done after the kill of {killed}; FLOWTOOLS_SEED={seed}",
                every=0.2,
            )
        wait_for(
            lambda: chain.sent() >= chain.expected(),
            60,
            tend=pipeline.tend,
            what=f"all is sent; FLOWTOOLS_SEED={seed}",
            every=0.5,
        )
    assert chain.noted() == chain.expected() == chain.arrived
    assert rabbitmq.depth(f"{queue}.failed") == 0
    show(f"{ROUNDS} rounds of {EVENTS}: lost 0; killed {killed}")
