"""Long runs under faults: `python -m tests.brokers.soak [SECONDS] [BROKER] [FOLDER]`.

Two pipelines at once: flow-listen-stomp | flow-work on a real broker that is killed,
frozen and cut off every few seconds, and flow-listen-assets | flow-work on flow-sim with
faults. Their processes run all the time, so that their use of resources can be seen to stay flat:
it is sampled into soak.csv in FOLDER (the current directory), from which
benchmarks/soak_plot draws. A line a minute on stdout.

Ends with status 1 if anything was lost, if there were more duplicates than the bound, if a
pipeline ended, or if memory, threads or descriptors grew. SECONDS (one hour) and BROKER
(rabbitmq or activemq) may come from the environment, too.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.brokers.activemq import ActiveMQ
from tests.brokers.bad_day import BadDay
from tests.brokers.ordeal import Ordeal
from tests.brokers.rabbitmq import RabbitMQ
from tests.brokers.usage import Usage

RATE = 200
"""Messages a second."""

KINDS = ("broker killed", "broker frozen", "connection cut")
"""Faults that leave our own processes alive; test_loss.py also kills those."""

FAULT_EVERY = 20.0
"""Seconds between the end of a fault and the next, on average."""

LINE_EVERY = 60.0
SAMPLE_EVERY = 15.0
QUEUE = "/queue/soak"
JUDGED = (
    "flow-listen-stomp",
    "flow-work",
    "flow-listen-assets (assets)",
    "flow-work (assets)",
)
"""Commands whose usage must stay flat; not flow-sim, which keeps every asset in memory."""


class Soak(Ordeal):
    """An ordeal with a steady producer, which sends whenever the broker can be talked to."""

    def begin(self, seconds, bad_day, usage):
        """Start to run for `seconds`, with `bad_day` beside, sampling into `usage`."""
        self._began = time.monotonic()
        self._seconds = seconds
        self._bad_day = bad_day
        self._usage = usage
        self._next_line = self._began + min(LINE_EVERY, seconds / 2)
        self._next_sample = self._began
        self.sent = 0
        self.producing = True
        self.start()

    def soak(self):
        """Send and inflict faults until the time is over; then wait until everything is done."""
        next_fault = self._began + 5
        while self._elapsed() < self._seconds:
            if time.monotonic() >= next_fault:
                kind = self.random.choice(KINDS)
                self._usage.note_fault(self._elapsed(), kind)
                self.inflict(kind)
                next_fault = time.monotonic() + self.random.uniform(0.2, 1.8) * FAULT_EVERY
            self.tend()
            time.sleep(0.02)
        self.producing = False
        self.until(lambda: self.tally.done == self.sent, 300, "every event is done")
        self.until(lambda: self.broker.depth(self.queue) == 0, 60, "every message is acknowledged")

    def judge(self):
        """Print the result, and return whether everything went well."""
        lost = len(self.tally.missing(self.sent))
        print(self.report(lost))
        unseen = self._bad_day.missing(300)
        starts = self._bad_day.pipeline.starts
        print(
            f"flow-sim: {self._bad_day.total} changes, {self._bad_day.seen()} events done, "
            f"{len(unseen)} last states never seen {unseen[:3]}; {starts} starts of the pipeline"
        )
        verdicts = self._usage.verdicts(JUDGED)
        print("\n".join(line for line, _ in verdicts))
        return (
            not lost
            and not unseen
            and self.pipeline.starts == starts == 1
            and self.tally.duplicates <= self.most_duplicates
            and all(flat for _, flat in verdicts)
        )

    def tend(self):
        """Tend the pipeline as Ordeal does, and send the messages that are due."""
        super().tend()
        self._bad_day.tend()
        if self.producing and self.calm:
            due = int(self._elapsed() * RATE)
            if due > self.sent:
                self.publish(range(self.sent, due))
                self.sent = due
        now = time.monotonic()
        if now >= self._next_sample:
            self._next_sample = now + SAMPLE_EVERY
            both = self.pipeline.processes() | self._bad_day.processes()
            self._usage.note(self._elapsed(), both)
        if now >= self._next_line:
            self._next_line += LINE_EVERY
            print(
                f"{self._elapsed():6.0f} s: {self.sent} sent, {self.tally.done} done, "
                f"{self.tally.duplicates} duplicates, {len(self.faults)} faults; "
                f"{self._bad_day.seen()} events of flow-sim done",
                flush=True,
            )

    def _elapsed(self):
        return time.monotonic() - self._began


def main():
    words = dict(enumerate(sys.argv[1:]))
    seconds = float(words.get(0) or os.environ.get("SECONDS") or 3600)
    name = words.get(1) or os.environ.get("BROKER") or "rabbitmq"
    kind = {each.name: each for each in (RabbitMQ, ActiveMQ)}[name]
    kept = Path(words.get(2, "."))
    seed = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"{kind.name}, {seconds:g} s, FLOWTOOLS_SEED={seed}", flush=True)
    usage = Usage(kept / "soak.csv")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        broker = kind(folder / "broker")
        try:
            broker.start()
            # The queue exists before the first fault, so that it survives a killed broker.
            with broker.connect() as wire:
                wire.subscribe(QUEUE)
            with (
                BadDay(folder / "bad-day", seconds, seed) as bad_day,
                Soak(broker, QUEUE, folder, ack="worker", seed=seed) as soak,
            ):
                soak.begin(seconds, bad_day, usage)
                soak.soak()
                return 0 if soak.judge() else 1
        finally:
            broker.close()
            usage.close()


if __name__ == "__main__":
    sys.exit(main())
