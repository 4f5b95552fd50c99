"""flow-watch on a real folder, and the events that it has written: for tests of hot folders."""

import json
import threading
import time

from tests.running import SECONDS
from tests.stomp_servers import lines_of

PROBE = "probe"


def changes_of(events):
    return [(each["type"].removeprefix("flow.path."), each["subject"]) for each in events]


class Watching:
    """A flow-watch on a folder, and the events that it has written."""

    def __init__(self, process):
        self.process = process
        self.all = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in lines_of(self.process.stdout):
            self.all.append(json.loads(line))

    @property
    def events(self):
        return [each for each in self.all if each["subject"] != PROBE]

    @property
    def probe(self):
        """The events about the probe file."""
        return [each["type"] for each in self.all if each["subject"] == PROBE]

    @property
    def changes(self):
        return changes_of(self.events)

    def wait_until_it_watches(self, folder, settle):
        # Files that exist at the start are not reported; so the probe changes until it is.
        deadline = time.monotonic() + SECONDS
        while not self.probe:
            assert time.monotonic() < deadline
            (folder / PROBE).write_text(str(time.monotonic()))
            again = time.monotonic() + settle + 0.5
            while not self.probe and time.monotonic() < again:
                time.sleep(0.02)
        (folder / PROBE).unlink()
        while self.probe[-1] != "flow.path.deleted":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def wait_for_message(self, *words):
        """Wait for a message with these texts, and return it."""
        while line := self.process.stderr.readline().decode():
            if all(word in line for word in words):
                return line
        raise AssertionError(f"no message with {words}")

    def wait_for(self, *changes, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while not set(changes) <= set(self.changes):
            assert time.monotonic() < deadline, f"{changes} not in {self.changes}"
            time.sleep(0.02)
