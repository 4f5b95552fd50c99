"""Follow a file as tail -F does: an event for each line that is added to it.

flow-source examples.sources.tail_file:TailFile --set tail.file=/var/log/syslog
"""

import os
import threading
from pathlib import Path


class TailFile:
    """Follows a file by its name. A new or truncated file of that name is read from its start."""

    def configure(self, config):
        self.path = Path(config["tail"]["file"])
        self.whole = config.getboolean("tail", "from start", fallback=False)
        self.ending = threading.Event()

    def __iter__(self):
        at_end = not self.whole
        while not self.ending.is_set():
            try:
                with self.path.open("rb") as file:
                    if at_end:
                        file.seek(0, os.SEEK_END)
                    yield from self.lines(file)
            except FileNotFoundError:
                self.ending.wait(0.2)
            at_end = False

    def lines(self, file):
        """Yield the lines of `file` until another one has its name."""
        rest = b""
        while True:
            # Checked before the lines are read: a program that rotates its file writes no more to
            # the old one after that, so these lines are its last.
            is_current = self.is_current(file)
            while block := file.read(65536):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    yield line.decode("utf-8", "replace")
            if not is_current or self.ending.wait(0.2):
                return

    def is_current(self, file):
        ours = os.fstat(file.fileno())
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return True  # The old file is renamed, and the new one is not made yet.
        return named.st_ino == ours.st_ino and named.st_size >= file.tell()

    def stop(self):
        self.ending.set()
