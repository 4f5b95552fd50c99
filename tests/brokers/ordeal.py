"""The loss test: numbered messages go through a pipeline while faults are inflicted on it.

One `Ordeal` is one broker, a proxy in front of it, one supervised pipeline, and a tally of
what was done. `inflict` makes one fault and waits until the pipeline has recovered.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass

import orjson

from tests.brokers.pipeline import Pipeline
from tests.brokers.proxy import Proxy
from tests.brokers.tally import Tally, wait_for

PREFETCH = 200
THREADS = 16
HEART_BEAT = "1,1"

RECOVERY_SECONDS = 90
"""A fault whose effects last longer is a defect."""

KINDS = (
    "broker killed",
    "broker frozen",
    "connection cut",
    "listener killed",
    "worker killed",
)


@dataclass
class Fault:
    """One fault.

    Attributes:
        kind: One of KINDS.
        at: How many numbers had been done.
        seconds: From the fault to the first event done that came by a new connection.
    """

    kind: str
    at: int
    seconds: float


class Ordeal:
    """Runs `flow-listen-stomp | flow-work` against `broker` and inflicts faults on both.

    Attributes:
        calm: Whether the broker is reachable: no fault is in progress.
    """

    def __init__(self, broker, queue, folder, *, ack, seed, pause=0.004):
        """Prepare; `ack` is that of flow-listen-stomp, `pause` the seconds of an event's work."""
        self.broker = broker
        self.queue = queue
        self.faults = []
        self.random = random.Random(seed)
        self.ack = ack
        self.calm = True
        self._proxy = Proxy(broker.port)
        self.tally = Tally(folder)
        options = f"--ack {ack} --prefetch {PREFETCH} --heart-beat {HEART_BEAT}"
        url = broker.url(queue, port=self._proxy.port)
        self.pipeline = Pipeline(
            f"flow-listen-stomp {options} '{url}' | flow-work -j {THREADS} note:Note",
            folder,
            PAUSE=str(pause),
        )

    def __enter__(self):
        self._proxy.__enter__()
        return self

    def __exit__(self, *error):
        self.pipeline.__exit__(*error)
        self._proxy.__exit__(*error)
        self.tally.close()

    def publish(self, numbers):
        """Put a message for each of `numbers` into the queue; return when all are confirmed."""
        bodies = (orjson.dumps({"n": number, "pad": "x" * 100}) for number in numbers)
        with self.broker.connect() as wire:
            wire.publish(self.queue, bodies, **{"content-type": "application/json"})

    def start(self):
        """Start the pipeline; from here on every existing queue survives a kill of the broker."""
        self.broker.settle()
        self.pipeline.start()

    def tend(self):
        """Count what was done, and start again what has ended."""
        self.pipeline.tend()
        self.tally.update()

    def until(self, condition, seconds, what):
        """Wait for `condition`; return the seconds it took; see `wait_for`."""
        try:
            return wait_for(condition, seconds, tend=self.tend, what=what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.report()}\n{self.said()}") from None

    def inflict(self, kind):
        """Inflict a fault, and wait until events of a new connection have been done."""
        self.tend()
        at, sessions, accepted = self.tally.done, set(self.tally.sessions), self._proxy.accepted
        since = time.monotonic()
        self.calm = False
        getattr(self, "_" + kind.replace(" ", "_"))()
        self.calm = True
        if self.ack == "worker":
            what = f"an event of a new connection (fault: {kind})"
            self.until(lambda: self.tally.sessions.keys() - sessions, RECOVERY_SECONDS, what)
            new = self.tally.sessions.keys() - sessions
            seconds = min(self.tally.sessions[session] for session in new) - since
        else:
            # An event without `ackto` does not show its connection.
            what = f"a new connection (fault: {kind})"
            self.until(lambda: self._proxy.accepted > accepted, RECOVERY_SECONDS, what)
            lines, passed = self.tally.lines, self._proxy.passed
            self.until(
                lambda: self.tally.lines > lines and self._proxy.passed > passed + 10_000,
                RECOVERY_SECONDS,
                f"an event after a new connection (fault: {kind})",
            )
            seconds = time.monotonic() - since
        self.faults.append(Fault(kind, at, seconds))

    def run(self, total, faults):
        """Inflict `faults` (kinds) at random moments while numbers below `total` are done."""
        moments = sorted(self.random.sample(range(total // 50, total * 8 // 10), len(faults)))
        for kind, moment in zip(faults, moments, strict=True):
            self.until(lambda: self.tally.done >= moment, 120, f"{moment} events")  # noqa: B023
            self.inflict(kind)

    @property
    def most_duplicates(self):
        """The allowed duplicates: a window per fault, and what a killed broker forgets."""
        killed = sum(fault.kind == "broker killed" for fault in self.faults)
        window = PREFETCH * self.broker.overdraws
        return window * len(self.faults) + self.broker.forgets * killed

    def report(self, lost=0):
        """Return the table: faults by kind, seconds to recover, lost, duplicates."""
        times = {kind: [f.seconds for f in self.faults if f.kind == kind] for kind in KINDS}
        lines = [f"{self.broker.name}, --ack {self.ack}, -j {THREADS}, prefetch {PREFETCH}"]
        lines.append(f"{'fault':<18}{'times':>6}{'seconds to recover':>24}")
        for kind, seconds in times.items():
            if seconds:
                range_ = f"{min(seconds):.1f} to {max(seconds):.1f}"
                lines.append(f"{kind:<18}{len(seconds):>6}{range_:>24}")
        tally = self.tally
        lines.append(
            f"{tally.done} done, {lost} lost, {tally.duplicates} duplicates "
            f"(at most {self.most_duplicates}); {self.pipeline.starts} starts of the pipeline, "
            f"its ends: {dict(Counter(self.pipeline.statuses))}"
        )
        return "\n".join(lines)

    def said(self):
        """Return the end of what the commands wrote to standard error."""
        return self.pipeline.log.read_text(errors="replace")[-3000:]

    def _broker_killed(self):
        self.broker.kill()
        self.tend()
        self.broker.start()

    def _broker_frozen(self):
        accepted = self._proxy.accepted
        self.broker.freeze()
        try:
            what = "the listener gives up a frozen broker and connects again"
            self.until(lambda: self._proxy.accepted > accepted, RECOVERY_SECONDS, what)
        finally:
            self.broker.thaw()

    def _connection_cut(self):
        self.until(lambda: self._proxy.cut(reset=self.random.random() < 0.5), 60, "a connection")

    def _listener_killed(self):
        self._kill("flow-listen-stomp")

    def _worker_killed(self):
        self._kill("flow-work")

    def _kill(self, command):
        self.until(lambda: self.pipeline.kill(command), 60, f"{command} runs")
