"""One source into a queue of a real broker, and several servers that share the work."""

import contextlib
import time

import orjson
import pytest

from tests.brokers.pipeline import Pipeline
from tests.brokers.tally import Tally, wait_for

EVENTS = 600
SERVERS = 3
PREFETCH = 20


class Servers:
    """Pipelines that compete for one queue, each in a folder of its own."""

    def __init__(self, broker, queue, folder):
        listen = f"flow-listen-stomp --ack worker --prefetch {PREFETCH} '{broker.url(queue)}'"
        line = f"{listen} | flow-work -j 4 note:Note"
        folders = [folder / f"server{number}" for number in range(SERVERS)]
        for each in folders:
            each.mkdir()
        self.tallies = [Tally(each) for each in folders]
        self.pipelines = [Pipeline(line, each, PAUSE="0.1") for each in folders]

    def done(self):
        """The events that any server has done."""
        names = {name for tally in self.tallies for name in tally.times}
        return {name for name in names if not name.startswith("warm-")}

    def warm_up(self, broker, queue):
        """Send messages until each server has done one; return how many were needed."""
        sent = 0
        while not all(tally.done for tally in self.tallies):
            assert sent < 2000, "one of the servers does nothing"
            bodies = [orjson.dumps({"n": f"warm-{sent + more}"}) for more in range(SERVERS)]
            with broker.connect() as wire:
                wire.publish(queue, bodies, **{"content-type": "application/json"})
            sent += SERVERS
            time.sleep(0.1)
            self.look()
        return sent

    def look(self):
        for tally in self.tallies:
            tally.update()


@pytest.fixture
def servers(broker, queue, tmp_path):
    servers = Servers(broker, queue, tmp_path)
    with contextlib.ExitStack() as stack:
        for pipeline in servers.pipelines:
            stack.enter_context(pipeline)
        for tally in servers.tallies:
            stack.callback(tally.close)
        yield servers


def names(file):
    """Return the ids of the event lines in `file` (a last line may be unfinished)."""
    lines = file.read_bytes().split(b"\n")[:-1] if file.exists() else ()
    return {orjson.loads(line)["id"] for line in lines}


@pytest.mark.timeout(300)
def test_every_event_is_processed_when_one_of_three_servers_dies(broker, queue, servers, tmp_path):
    feed = tmp_path / "feed"
    feed.mkdir()
    source = "flow-listen-assets --ack worker | tee sent | flow-send"
    line = f"flow-sim --assets {EVENTS} --rate 200 -- sh -c \"{source} '{broker.url(queue)}'\""
    # All servers run before the first event, so that each gets its share.
    warm = servers.warm_up(broker, queue)
    with Pipeline(line, feed):
        # Each has events before one is killed, so that the killed one has events in flight. Two
        # of them alone would need seconds for all, so the third always gets some.
        everybody = lambda: all(tally.done > warm + 20 for tally in servers.tallies)  # noqa: E731
        wait_for(everybody, 60, tend=servers.look, what="each server has done some events")
        dead, *alive = servers.pipelines
        dead.kill_all()
        servers.look()
        by_the_dead = servers.tallies[0].done

        def sent():
            return names(feed / "sent")

        wait_for(lambda: len(sent()) == EVENTS, 60, tend=servers.look, what="all events are sent")
        wait_for(
            lambda: servers.done() >= sent(), 120, tend=servers.look, what="every event is done"
        )
        empty = lambda: broker.depth(queue) == 0  # noqa: E731
        wait_for(empty, 60, tend=servers.look, what="every message is acknowledged")
    assert servers.done() == sent()
    assert servers.tallies[0].done == by_the_dead < warm + EVENTS
    lines = sum(tally.lines for tally in servers.tallies)
    assert lines <= warm + EVENTS + PREFETCH
    assert [pipeline.end("flow-listen-stomp") for pipeline in alive] == [143, 143]
