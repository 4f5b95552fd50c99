"""The contract of every source, as one suite: a class with `run(outlet, stop)`, ours or a user's.

A `World` is the environment of a source in a test: it creates the source, and causes events that
the source reports. `Contract` runs a source of that world in a thread, over a real pipe. To test a
source against the contract, add its World to WORLDS; a test finds every class of flowtools
that has such a `run` and is in none of them.
"""

import fcntl
import json
import os
import queue
import threading
import time
from contextlib import ExitStack

from coilmq.util.frames import Frame

from flowtools.core.errors import ReaderGone
from flowtools.core.lines import LineReader, LineWriter
from flowtools.core.wait import Stop
from flowtools.failed.file import FailedLines
from flowtools.failed.replay import Replay
from flowtools.failed.selection import Selection
from flowtools.sim.broker import Broker
from flowtools.sim.people import People
from flowtools.source.asset import AssetEntryListener
from flowtools.source.browse import Browse
from flowtools.source.custom import CustomSource
from flowtools.source.interval import Interval
from flowtools.source.local import STDIN
from flowtools.source.location import UnmanagedFilesListener
from flowtools.source.stomp import GenericStompListener
from flowtools.source.vizone.listening import Listening
from flowtools.source.watch import HotFolder
from flowtools.stomp.settings import Settings
from flowtools.stomp.url import parse_url
from tests.running import SECONDS, until
from tests.stomp_servers import Coil
from tests.vizone_servers import account_of, stand_in


class World:
    """The environment of a source.

    Attributes:
        kind: The class of the source.
        counts: Whether the source can be told to end after so many events.
        repeats: Whether a second source in the same world reports the same happenings again.
        at_most: How many happenings a test may make.
    """

    kind = None
    counts = True
    repeats = True
    at_most = 2000

    def __init__(self, folder):
        self.folder = folder
        self.stack = ExitStack()

    def source(self, count=None):
        """Make a source."""
        raise NotImplementedError

    def feed(self, number):
        """Cause `number` events that the source reports."""
        raise NotImplementedError


class IntervalWorld(World):
    kind = Interval
    repeats = False  # The second one ticks at other times.

    def source(self, count=None):
        return Interval(0.002, count=count)

    def feed(self, number):
        """Time passes by itself."""


class StandardInputWorld(World):
    kind = STDIN

    def __init__(self, folder):
        super().__init__(folder)
        self.fed = b""
        self.writer = None

    def source(self, count=None):
        reader, self.writer = os.pipe()
        for fd in (reader, self.writer):
            self.stack.callback(os.close, fd)
        self._write(self.fed)
        return STDIN(fd=reader, count=count)

    def feed(self, number):
        data = b"".join(b"line %d\n" % each for each in range(number))
        self.fed += data
        if self.writer is not None:
            self._write(data)

    def _write(self, data):
        os.set_blocking(self.writer, False)
        os.write(self.writer, data)  # Fewer than fit into a pipe.


class FolderWorld(World):
    kind = HotFolder
    at_most = 300

    def __init__(self, folder):
        super().__init__(folder)
        self.path = folder / "hot"
        self.path.mkdir()
        self.number = 0

    def source(self, count=None):
        return HotFolder(str(self.path), existing=True, settle=0, count=count)

    def feed(self, number):
        for _ in range(number):
            self.number += 1
            (self.path / f"file{self.number}").write_bytes(b"x")


class CustomWorld(World):
    kind = CustomSource

    def __init__(self, folder):
        super().__init__(folder)
        self.fed = []
        self.values = None

    def source(self, count=None):
        self.values = queue.SimpleQueue()
        for value in self.fed:
            self.values.put(value)
        return CustomSource(Values(self.values), "tests:Values", count=count, grace=1.0)

    def feed(self, number):
        for each in range(number):
            event = {"specversion": "1.0", "id": f"i{each}", "source": "s", "type": "t"}
            self.fed.append(event)
            if self.values is not None:
                self.values.put(event)


class Values:
    """A user's own Source: gives the values put into a queue, until its stop."""

    def __init__(self, values):
        self.values = values
        self.stopped = threading.Event()

    def run(self, emit):
        from flowtools.event import Event

        while not self.stopped.is_set():
            try:
                value = self.values.get(timeout=0.02)
            except queue.Empty:
                continue
            emit(Event.of(dict(value)))

    def stop(self):
        self.stopped.set()


class StompWorld(World):
    kind = GenericStompListener
    repeats = False  # Acknowledged messages do not come again; test_listen_stomp.py tests the rest.

    def __init__(self, folder):
        super().__init__(folder)
        self.coil = Coil()
        self.stack.callback(self.coil.stop)

    def source(self, count=None):
        return GenericStompListener(parse_url(self.coil.url()), Settings(), count=count, drain=1.0)

    def feed(self, number):
        for each in range(number):
            frame = Frame("SEND", {"destination": "/queue/a"}, b"%d" % each)
            self.coil.server.queue_manager.send(frame)


class BrowseWorld(World):
    """Browsing a topic, which does not end; tests/test_browse.py tests browsing a queue."""

    kind = Browse
    repeats = False  # A topic keeps nothing.

    def __init__(self, folder):
        super().__init__(folder)
        self.broker = Broker("127.0.0.1", 0, People("pw"))
        self.broker.start()
        self.stack.callback(self.broker.close)

    def source(self, count=None):
        url = parse_url(f"stomp://guest@127.0.0.1:{self.broker.port}/?destination=/topic/a")
        return Browse(url, Settings(password="pw"), count=count)

    def feed(self, number):
        until(lambda: self.broker.has_subscriber("/topic/a", 0.1))
        for each in range(number):
            self.broker.publish("/topic/a", {}, b"%d" % each)


class VizOneWorld(World):
    at_most = 40
    repeats = False  # A topic keeps nothing; test_state.py tests what is reported after an absence.

    def __init__(self, folder):
        super().__init__(folder)
        self.server = self.stack.enter_context(stand_in())
        self.waiting = threading.Event()
        self.number = 0

    def listening(self, count):
        return Listening(count=count, drain=1.0)

    def feed(self, number):
        until(lambda: self.server._broker.has_subscriber(self.topic, 0.1))
        for _ in range(number):
            self.number += 1
            self.happen(f"number{self.number}")


class AssetWorld(VizOneWorld):
    kind = AssetEntryListener
    topic = "/topic/vizone.assets"

    def source(self, count=None):
        return AssetEntryListener(account_of(self.server), self.listening(count))

    def happen(self, name):
        self.server.catalogue.create(name)


class LocationWorld(VizOneWorld):
    kind = UnmanagedFilesListener
    topic = "/topic/vizone.unmanaged.xmlimport"

    def source(self, count=None):
        return UnmanagedFilesListener(account_of(self.server), "xmlimport", self.listening(count))

    def happen(self, name):
        self.server.catalogue.storages.write("xmlimport", name, b"x")


class ReplayWorld(World):
    kind = Replay
    counts = False

    def __init__(self, folder):
        super().__init__(folder)
        self.path = folder / "failed.jsonl"
        self.path.touch()

    def source(self, count=None):
        lines = FailedLines(self.path)
        return Replay(lines, Selection(), prefetch=100_000, drain=0.2)

    def feed(self, number):
        event = {"specversion": "1.0", "source": "s", "type": "t", "flowerror": "no"}
        with self.path.open("a") as file:
            for each in range(number):
                file.write(json.dumps(event | {"id": f"i{each}"}) + "\n")


WORLDS = (
    IntervalWorld,
    StandardInputWorld,
    FolderWorld,
    CustomWorld,
    StompWorld,
    BrowseWorld,
    AssetWorld,
    LocationWorld,
    ReplayWorld,
)


class Running:
    """A source at work in a thread, and the reader of what it writes.

    Attributes:
        reader: The descriptor of the pipe's other end.
        error: What `run` raised, once it has ended.
    """

    def __init__(self, source, *, pipe_size=None):
        self.reader, self._write_end = os.pipe()
        if pipe_size is not None:
            fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, pipe_size)
        self.stop = Stop()
        self.outlet = LineWriter(self._write_end)
        self.outlet.give_up(self.stop, 0.2)
        self.error = None
        self._source = source
        self._never = Stop()
        self._lines = LineReader(self.reader, self._never)
        self._read = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self._source.run(self.outlet, self.stop)
        except BaseException as error:  # It is looked at in the test's thread.
            self.error = error

    def events(self, number):
        """Wait for `number` events; return them all."""
        limit = time.monotonic() + SECONDS
        while len(self._read) < number:
            assert time.monotonic() < limit, f"{len(self._read)} of {number} events came"
            self._read += [json.loads(line) for line in self._lines.read(0.1) or []]
        return self._read[:number]

    def rest(self):
        """Return the events still in the pipe after the source has ended."""
        os.close(self._write_end)
        self._write_end = -1
        while (lines := self._lines.read(SECONDS)) is not None:
            self._read += [json.loads(line) for line in lines]
        return self._read

    def leave(self):
        """Close the reader's end."""
        os.close(self.reader)
        self.reader = -1

    def ended(self):
        """Wait until `run` has returned or raised; return whether it has."""
        self._thread.join(SECONDS)
        return not self._thread.is_alive()

    def close(self):
        self.stop.set()
        self._thread.join(SECONDS)
        for fd in (self.reader, self._write_end):
            if fd >= 0:
                os.close(fd)
        for each in (self.stop, self._never):
            each.close()


class Contract:
    """The promises; a test class that inherits it gets a test for each."""

    def run(self, world, **options):
        running = Running(world.source(options.pop("count", None)), **options)
        world.stack.callback(running.close)
        return running

    def test_events_can_be_read_while_the_source_waits(self, world):
        running = self.run_fed(world, 3)
        assert len({event["id"] for event in running.events(3)}) == 3

    def test_a_stop_ends_a_waiting_source(self, world):
        running = self.run_fed(world, 1)
        running.events(1)
        running.stop.set()
        assert running.ended()
        assert running.error is None or type(running.error).__name__ == "EventsFailed"

    def test_a_stop_set_before_the_start_ends_the_source_immediately(self, world):
        source, stop = world.source(), Stop()
        stop.set()
        reader, writer = os.pipe()
        thread = threading.Thread(target=source.run, args=(LineWriter(writer), stop), daemon=True)
        thread.start()
        thread.join(SECONDS)
        assert not thread.is_alive()
        os.close(reader)
        os.close(writer)
        stop.close()

    def test_a_closed_reader_ends_the_source(self, world):
        running = self.run_fed(world, 1)
        running.events(1)
        running.leave()
        assert running.ended()
        assert isinstance(running.error, ReaderGone)

    def test_the_source_ends_after_its_count(self, world):
        if not world.counts:
            return
        running = self.run_fed(world, 5, count=3)
        running.events(3)
        assert running.ended()
        assert running.error is None
        assert len(running.rest()) == 3

    def test_a_stop_ends_a_source_whose_reader_is_stalled(self, world):
        running = self.run_fed(world, world.at_most, pipe_size=4096)
        until(lambda: running.outlet.emitted)
        running.stop.set()
        assert running.ended()

    def test_the_same_change_has_the_same_id_in_another_source(self, world):
        if not world.repeats:
            return
        ids = []
        first = self.run_fed(world, 4)
        ids.append({event["id"] for event in first.events(4)})
        first.stop.set()
        assert first.ended()
        second = self.run(world)
        ids.append({event["id"] for event in second.events(4)})
        assert ids[0] == ids[1]

    def run_fed(self, world, number, **options):
        """Start a source and cause `number` events, before the start if the world needs that."""
        if world.kind is Replay:
            world.feed(number)
            return self.run(world, **options)
        running = self.run(world, **options)
        world.feed(number)
        return running
