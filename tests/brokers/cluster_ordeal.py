"""The loss test of a cluster: a publisher and two listeners, while nodes and processes fail.

The publisher is `flow-source --ack worker | flow-send`. Its Source counts upwards, and what
flow-send has had confirmed is noted in a file, so that a publisher that was killed goes on with
what was not. Each listener, `flow-listen-stomp --ack worker | flow-work`, has a folder, and so a
tally, of its own. All of them know the three hosts and begin with another one.

A fault is over once *every* listener has done an event that was made after the fault: that needs
the publisher, the queue and that listener. Until then the node stays dead, frozen or cut off.
"""

import os
import random
import time
from collections import Counter

from tests.brokers.ordeal import Fault
from tests.brokers.pipeline import Pipeline
from tests.brokers.tally import Tally, wait_for

LISTENERS = 2
PREFETCH = 100
WINDOW = 100
THREADS = 8
HEART_BEAT = "2,2"

RECOVERY_SECONDS = 120
"""A fault whose effects last longer is a defect."""

NODE_KINDS = tuple(
    f"{which} {how}" for how in ("killed", "frozen", "cut off") for which in ("leader", "follower")
)
PROCESS_KINDS = ("publisher killed", "flow-send killed", "listener killed", "worker killed")

ROUNDS = int(os.environ.get("FLOWTOOLS_ROUNDS") or 1)
"""How often each kind of fault happens."""

RATE = 100
"""Events a second."""

SOURCE = '''\
"""Numbers, without end until the file `enough` is there, each noted once it is confirmed."""

import os
import time
from pathlib import Path

from flowtools.event import Event

NOTES = "made", "confirmed"


def note(file, number):
    os.write(file, f"{number}\\n".encode())


class Numbers:
    def __init__(self):
        how = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._made, self._confirmed = (os.open(each, how) for each in NOTES)

    def __iter__(self):
        made, have = ({int(n) for n in Path(each).read_text().split()} for each in NOTES)
        least, rate = max(int(os.environ["LEAST"]), *made, 0), float(os.environ["RATE"])
        number, given, began = 0, 0, time.monotonic()
        while number <= least or not Path("enough").exists():
            if number not in have:
                note(self._made, number)
                yield Event(id=str(number), source="numbers", type="n", data={"pad": "x" * 500})
                given += 1
                time.sleep(max(0.0, began + given / rate - time.monotonic()))
            number += 1

    def done(self, event, ok):
        if ok:
            note(self._confirmed, event.id)
'''


class ClusterOrdeal:
    """Runs the pipelines against `cluster` and inflicts faults on them."""

    def __init__(self, cluster, queue, folder, *, least, rate):
        """Prepare: at least `least` events, `rate` of them a second."""
        self.cluster = cluster
        self.queue = queue
        self.faults = []
        self._folder = folder / "publisher"
        self._folder.mkdir()
        (self._folder / "counting.py").write_text(SOURCE)
        send = f"flow-send --window {WINDOW} --heart-beat {HEART_BEAT} '{cluster.url(queue)}'"
        source = f"flow-source --ack worker --prefetch {WINDOW} counting:Numbers"
        self.publisher = Pipeline(
            f"{source} | {send}", self._folder, LEAST=str(least), RATE=str(rate)
        )
        self.tallies, self.listeners = [], []
        for number in range(1, LISTENERS + 1):
            own = folder / f"listener{number}"
            own.mkdir()
            url = cluster.url(queue, first=number)
            options = f"--ack worker --prefetch {PREFETCH} --heart-beat {HEART_BEAT}"
            line = f"flow-listen-stomp {options} '{url}' | flow-work -j {THREADS} note:Note"
            self.tallies.append(Tally(own))
            self.listeners.append(Pipeline(line, own, PAUSE="0.01"))

    def __enter__(self):
        for pipeline in (*self.listeners, self.publisher):
            pipeline.start()
        return self

    def __exit__(self, *_):
        for pipeline in (*self.listeners, self.publisher):
            pipeline.kill_all()
        for tally in self.tallies:
            tally.close()

    @property
    def total(self):
        """How many events were made; their numbers are 0 to `total` - 1."""
        file = self._folder / "made"
        numbers = file.read_text().rpartition("\n")[0].split() if file.exists() else ()
        return max(map(int, numbers), default=-1) + 1

    @property
    def times(self):
        """How often each event was done, by its number as text."""
        return sum((tally.times for tally in self.tallies), Counter())

    def tend(self):
        """See what was done, and start listeners and a publisher that have ended."""
        for pipeline in self.listeners:
            pipeline.tend()
        # The publisher ends by itself after it was told to stop and everything is confirmed.
        if self.publisher.status != 0:
            self.publisher.tend()
        for tally in self.tallies:
            tally.update()

    def until(self, condition, seconds, what):
        """Wait for `condition`; return the seconds it took; see `wait_for`."""
        try:
            return wait_for(condition, seconds, tend=self.tend, what=what)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.report()}\n{self.said()}") from None

    def until_flowing(self, what):
        """Wait until every listener has done an event made after this call; return seconds."""
        self.tend()
        total = self.total
        flows = lambda: all(tally.highest >= total for tally in self.tallies)  # noqa: E731
        return self.until(flows, RECOVERY_SECONDS, what)

    def inflict(self, kind):
        """Inflict a fault, wait until everything has recovered, and repair what was broken."""
        which, _, how = kind.partition(" ")
        at = len(self.times)
        if kind in NODE_KINDS:
            leader = self.cluster.leader(self.queue)
            node = leader
            if which == "follower":
                node = next(each for each in self.cluster.nodes if each is not leader)
            self.cluster.hurt(node, how)
        elif which in ("publisher", "flow-send"):
            command = "flow-source" if which == "publisher" else which
            self.until(lambda: self.publisher.kill(command), 60, f"{command} runs")
        else:
            command = "flow-listen-stomp" if which == "listener" else "flow-work"
            victim = self.listeners[len(self.faults) % LISTENERS]
            self.until(lambda: victim.kill(command), 60, f"{command} runs")
        seconds = self.until_flowing(f"events flow to every listener again (fault: {kind})")
        self.faults.append(Fault(kind, at, seconds))
        if kind in NODE_KINDS:
            self.cluster.heal()
            self.cluster.wait_until_whole(self.queue, tend=self.tend)

    def finish(self):
        """Let the publisher end, and wait until all its events are done and acknowledged."""
        (self._folder / "enough").touch()
        self.until(lambda: self.publisher.status == 0, 300, "the publisher has had all confirmed")
        total = self.total
        self.until(lambda: len(self.times) == total, 120, "every event is done")
        self.until(lambda: self.cluster.depth(self.queue) == 0, 60, "all are acknowledged")

    @property
    def missing(self):
        """The numbers of events that were made and never done."""
        times = self.times
        return [number for number in range(self.total) if str(number) not in times]

    @property
    def duplicates(self):
        """How often an event was done that had been done before."""
        times = self.times
        return times.total() - len(times)

    @property
    def most_duplicates(self):
        """The allowed number of duplicates: for each fault the windows that it can affect."""
        windows = {
            "publisher killed": WINDOW,
            "flow-send killed": WINDOW,
            "listener killed": PREFETCH,
            "worker killed": PREFETCH,
        }
        # A node may have the publisher and all listeners as its clients.
        return sum(windows.get(each.kind, LISTENERS * PREFETCH + WINDOW) for each in self.faults)

    def report(self):
        """Return the table: faults by kind, seconds to recover, lost, duplicates."""
        about = (
            f"{self.cluster.about}; {LISTENERS} listeners, "
            f"prefetch {PREFETCH}; flow-send --window {WINDOW}; --heart-beat {HEART_BEAT}"
        )
        lines = [about, f"{'fault':<18}{'times':>6}{'seconds to recover':>24}"]
        for kind in (*NODE_KINDS, *PROCESS_KINDS):
            seconds = sorted(each.seconds for each in self.faults if each.kind == kind)
            if seconds:
                range_ = " ".join(f"{each:.1f}" for each in seconds)
                lines.append(f"{kind:<18}{len(seconds):>6}{range_:>24}")
        lost = len(self.missing)
        starts = [each.starts for each in (self.publisher, *self.listeners)]
        lines.append(
            f"{self.total} sent, {len(self.times)} done, {lost} not done, "
            f"{self.duplicates} duplicates (at most {self.most_duplicates}); "
            f"starts of publisher and listeners: {starts}"
        )
        return "\n".join(lines)

    def said(self):
        """Return the end of what the commands wrote to standard error."""
        pipelines = (self.publisher, *self.listeners)
        return "\n".join(each.log.read_text(errors="replace")[-2000:] for each in pipelines)


def survive(servers, queue, folder, kinds, *, least, show):
    """Let pipelines on `servers` survive faults of each of `kinds`, in an order of FLOWTOOLS_SEED.

    At least `least` events go through `queue`; none may be lost, and no message be rejected.
    """
    seed = int(os.environ.get("FLOWTOOLS_SEED") or random.SystemRandom().randrange(10**6))
    faults = [*kinds] * ROUNDS
    random.Random(seed).shuffle(faults)
    began = time.monotonic()
    with ClusterOrdeal(servers, queue, folder, least=least, rate=RATE) as ordeal:
        ordeal.until_flowing("events flow to every listener")
        for kind in faults:
            ordeal.inflict(kind)
        ordeal.finish()
        show(f"FLOWTOOLS_SEED={seed}, {time.monotonic() - began:.0f} s\n{ordeal.report()}")
        assert ordeal.missing == []
        assert ordeal.total >= least
        assert ordeal.duplicates <= ordeal.most_duplicates
        assert servers.depth(f"{queue}.failed") == 0
        ends = [each.end("flow-listen-stomp") for each in ordeal.listeners]
        assert ends == [128 + 15] * len(ends)
