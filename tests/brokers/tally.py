"""A tally of processed events: a Worker that notes each event, and a count of its notes.

Events are known by the number `n` in the body of a message, others by their id.
"""

import time
from collections import Counter

WORKER = '''\
"""A Worker that appends a line for each event to a file, with one write."""

import os
import time


class Note:
    def __init__(self):
        self._file = os.open("done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pause = float(os.environ.get("PAUSE", "0"))

    def start(self, event):
        if self._pause:
            time.sleep(self._pause)
        name = event["body"]["n"] if event.type == "flow.stomp.message" else event.id
        # The epoch in ackto names the connection by which the event came.
        session = event.attributes.get("ackto", "#-.").partition("#")[2].partition(".")[0]
        note = f"{name} {session} {time.monotonic():.4f} {len(event.encode())}\\n"
        os.write(self._file, note.encode())
        if event.attributes.get("redelivered"):
            with open("redelivered", "a") as again:
                again.write(f"{name}\\n")
'''


class Tally:
    """The lines in the file that the Worker writes.

    Attributes:
        times: How often each event was done, by its number (as text) or id.
        sessions: When the first event of each connection was done (`time.monotonic`).
        lines: How many lines there are.
        shortest: The length (bytes) of the shortest event line.
        highest: The highest number that was done; -1: none.
    """

    def __init__(self, folder):
        """Write the Worker (`note:Note`) into `folder`, where its notes will be, too."""
        (folder / "note.py").write_text(WORKER)
        (folder / "done").touch()
        self._file = (folder / "done").open("rb")
        self._rest = b""
        self.times = Counter()
        self.sessions = {}
        self.lines = 0
        self.shortest = 1 << 30
        self.highest = -1

    def close(self):
        """Close the file."""
        self._file.close()

    @property
    def done(self):
        """How many different events were done."""
        return len(self.times)

    @property
    def duplicates(self):
        """How often an event was done that had been done before."""
        return self.lines - len(self.times)

    def update(self):
        """Read the lines added since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        for line in lines:
            name, session, moment, length = line.decode().split()
            self.times[name] += 1
            self.sessions.setdefault(session, float(moment))
            if name.isdigit():
                self.highest = max(self.highest, int(name))
            self.shortest = min(self.shortest, int(length))
        self.lines += len(lines)

    def missing(self, total):
        """Return the numbers below `total` that were not done."""
        return [number for number in range(total) if str(number) not in self.times]


def wait_for(condition, seconds, *, tend, what, every=0.02):
    """Wait until `condition` is true, calling `tend` meanwhile; return the seconds it took.

    Raises:
        TimeoutError: It is not after `seconds`; the text says `what` was waited for.
    """
    since = time.monotonic()
    while not condition():
        if time.monotonic() - since > seconds:
            raise TimeoutError(f"not within {seconds} s: {what}")
        tend()
        time.sleep(every)
    return time.monotonic() - since
