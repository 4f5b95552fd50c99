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


class Soak:
    """An ordeal with a steady producer, which sends between faults what is due."""

    def __init__(self, ordeal, seconds):
        self._ordeal = ordeal
        self._began = time.monotonic()
        self._ends = self._began + seconds
        self._next_line = self._began + min(LINE_EVERY, seconds / 2)
        self.sent = 0

    def run(self):
        """Send and make faults until the time is over; return whether all went well."""
        ordeal = self._ordeal
        self._send()
        ordeal.start()
        next_fault = time.monotonic() + 5
        while time.monotonic() < self._ends:
            self._send()
            if time.monotonic() >= next_fault:
                # Enough to do, so that the recovery shows whenever it comes.
                self._send(ahead=1000)
                ordeal.inflict(ordeal.random.choice(KINDS))
                next_fault = time.monotonic() + ordeal.random.uniform(0.2, 1.8) * FAULT_EVERY
            ordeal.tend()
            self._say()
            time.sleep(0.05)
        ordeal.until(lambda: ordeal.tally.done == self.sent, 300, "every event is done")
        empty = lambda: ordeal.broker.depth(ordeal.queue) == 0  # noqa: E731
        ordeal.until(empty, 60, "every message is acknowledged")
        lost = len(ordeal.tally.missing(self.sent))
        print(ordeal.report(lost))
        return not lost and ordeal.tally.duplicates <= ordeal.most_duplicates

    def _send(self, ahead=0):
        due = int((time.monotonic() - self._began) * RATE) + ahead
        if due > self.sent:
            self._ordeal.publish(range(self.sent, due))
            self.sent = due

    def _say(self):
        now = time.monotonic()
        if now < self._next_line:
            return
        self._next_line += LINE_EVERY
        tally, faults = self._ordeal.tally, self._ordeal.faults
        used = "; ".join(
            f"{name} {_usage(pid)}"
            for name, pid in sorted(self._ordeal.pipeline.processes().items())
        )
        print(
            f"{now - self._began:6.0f} s: {self.sent} sent, {tally.done} done, "
            f"{tally.duplicates} duplicates, {len(faults)} faults; {used}",
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
            with Ordeal(broker, "/queue/soak", folder, ack="worker", seed=seed) as ordeal:
                return 0 if Soak(ordeal, seconds).run() else 1
        finally:
            broker.close()


if __name__ == "__main__":
    sys.exit(main())
