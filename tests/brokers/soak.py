"""The loss test for as long as one likes: `python -m tests.brokers.soak [SECONDS] [BROKER]`.

Steady messages, and a fault every few seconds; a line a minute on stdout. Ends with status
1 if a message was lost, or if there were more duplicates than the bound. SECONDS may come
from the environment, too; one hour by default. BROKER: rabbitmq (default) or activemq.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.brokers.ordeal import KINDS, Ordeal
from tests.brokers.servers import ActiveMQ, RabbitMQ

RATE = 300
"""Messages a second."""

FAULT_EVERY = 15.0
"""Seconds between the end of a fault and the next, on average."""

LINE_EVERY = 60.0
QUEUE = "/queue/soak"


class Soak(Ordeal):
    """An ordeal with a steady producer, which sends whenever the broker can be talked to."""

    def soak(self, seconds):
        """Send and make faults for so long; return whether all went well."""
        self._began = time.monotonic()
        self._next_line = self._began + min(LINE_EVERY, seconds / 2)
        self.sent = 0
        self.producing = True
        self.start()
        next_fault = self._began + 5
        while time.monotonic() < self._began + seconds:
            if time.monotonic() >= next_fault:
                self.inflict(self.random.choice(KINDS))
                next_fault = time.monotonic() + self.random.uniform(0.2, 1.8) * FAULT_EVERY
            self.tend()
            time.sleep(0.02)
        self.producing = False
        self.until(lambda: self.tally.done == self.sent, 300, "every event is done")
        self.until(lambda: self.broker.depth(self.queue) == 0, 60, "every message is acknowledged")
        lost = len(self.tally.missing(self.sent))
        print(self.report(lost))
        return not lost and self.tally.duplicates <= self.most_duplicates

    def tend(self):
        """Send what is due, besides."""
        super().tend()
        if self.producing and self.calm:
            due = int((time.monotonic() - self._began) * RATE)
            if due > self.sent:
                self.publish(range(self.sent, due))
                self.sent = due
        self._say()

    def _say(self):
        now = time.monotonic()
        if now < self._next_line:
            return
        self._next_line += LINE_EVERY
        commands = sorted(self.pipeline.processes().items())
        used = "; ".join(f"{name} {_usage(pid)}" for name, pid in commands)
        print(
            f"{now - self._began:6.0f} s: {self.sent} sent, {self.tally.done} done, "
            f"{self.tally.duplicates} duplicates, {len(self.faults)} faults; {used}",
            flush=True,
        )


def _usage(pid):
    """Return what a process holds: resident memory, threads, file descriptors."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return "has just ended"
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    memory = int(fields["VmRSS"].split()[0]) / 1024 if "VmRSS" in fields else 0
    return f"{memory:.0f} MB, {fields['Threads']} threads, {files} fds"


def main():
    words = dict(enumerate(sys.argv[1:]))
    seconds = float(words.get(0) or os.environ.get("SECONDS") or 3600)
    kind = {each.name: each for each in (RabbitMQ, ActiveMQ)}[words.get(1, "rabbitmq")]
    seed = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"{kind.name}, {seconds:g} s, FLOWTOOLS_SEED={seed}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = kind(folder / "broker")
        try:
            broker.start()
            # The queue is there before the first fault, so that it outlives a killed broker.
            with broker.connect() as wire:
                wire.subscribe(QUEUE)
            with Soak(broker, QUEUE, folder, ack="worker", seed=seed) as soak:
                return 0 if soak.soak(seconds) else 1
        finally:
            broker.close()


if __name__ == "__main__":
    sys.exit(main())
