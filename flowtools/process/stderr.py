"""The only writer of stderr, so that no other thread waits for its reader.

A message is put into a bounded queue, and one thread writes it. If nobody reads stderr, that thread
waits, the queue fills, and further messages are dropped and counted. As soon as there is room
again, the count is written. The descriptor cannot be made non-blocking instead: it is shared with
other programs that write to the same terminal or pipe.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep

from flowtools.core.threads import start_thread

ROOM = 1024 * 1024
"""Maximum number of bytes that wait to be written."""

CROWDED = ROOM // 4
"""Number of waiting bytes above which `put` sleeps a moment while the writing thread makes
progress. Otherwise many printing threads would fill the queue before that thread gets the
interpreter."""

STUCK_SECONDS = 0.05
"""Duration of a write, in seconds, above which it counts as waiting for the reader."""


class Stderr:
    """Writes lines to a descriptor in the order of the calls of `put`. Any thread may call."""

    def __init__(self, fd: int, dropped: Callable[[int], bytes]) -> None:
        """Write to `fd`; `dropped` returns the line that tells how many messages were dropped."""
        self.fd = fd
        self.lead: Callable[[str], object] | None = None
        self._dropped = dropped
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._change = threading.Condition(threading.Lock())
        self._lines: deque[bytes] = deque()
        self._size = self._lost = 0
        self._writing_since: float | None = None
        self._thread: threading.Thread | None = None
        self._is_ending = False

    def put(self, line: bytes) -> None:
        """Queue `line` to be written; drop it if there is no room."""
        since = self._writing_since
        if self._size > CROWDED and (since is None or monotonic() - since < STUCK_SECONDS):
            sleep(0.0005)
        with self._change:
            if self._size + len(line) > ROOM:
                self._lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            if self._thread is None:
                self._begin()
            self._change.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait at most `seconds` until all lines are written; return whether they are.

        If the reader has taken nothing for a second, the wait is at most 0.2 seconds.
        """
        since = self._writing_since
        if since is not None and monotonic() - since > 1.0:
            seconds = min(seconds, 0.2)
        with self._change:
            return self._change.wait_for(lambda: not self._size, seconds)

    def stop(self, seconds: float) -> None:
        """Write all lines, within `seconds`, and end the thread; the next line starts another.

        Called before a fork, when there should be only one thread.
        """
        self.flush(seconds)
        with self._change:
            thread = self._thread
            self._is_ending = True
            self._change.notify_all()
        if thread is not None:
            thread.join(seconds)

    def _begin(self) -> None:
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="stderr", daemon=True)
        try:
            start_thread(self._thread)
        except RuntimeError:  # No thread can be started. The message is written here instead.
            self._thread = None
            taken = self._take()
            self._write(taken)
            self._size -= len(taken)

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._lines or self._is_ending)
                if not self._lines:
                    self._thread = None
                    return
                taken = self._take()
            is_written = self._write(taken)
            with self._change:
                self._size -= len(taken)
                # Only behind a line that could be written. If stderr has no reader any more, the
                # count itself would be lost, counted and written again without end.
                if is_written and self._lost and not self._lines:
                    line = self._dropped(self._lost)
                    self._lost = 0
                    self._lines.append(line)
                    self._size += len(line)
                self._change.notify_all()

    def _take(self) -> bytes:
        """Take as many lines as fit into one write; they count in `_size` until written."""
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= 65536:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        return b"".join(taken)

    def _write(self, taken: bytes) -> bool:
        """Write; return whether that was possible. If not, the lines count as dropped."""
        is_written = True
        self._writing_since = monotonic()
        try:
            if self.lead is not None:
                self.lead(taken.decode("utf-8", "replace"))
            else:
                self._write_all(memoryview(taken))
        except (OSError, ValueError):
            self._lost += taken.count(b"\n")  # stderr is closed, or the disk is full.
            is_written = False
        self._writing_since = None
        return is_written

    def _write_all(self, view: memoryview) -> None:
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                # Another process that shares this descriptor has made it non-blocking.
                select.select([], [self.fd], [])
