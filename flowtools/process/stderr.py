"""The one writer of stderr: nobody else waits for who reads it.

A message is put into a bounded queue, and a thread writes it. Where nobody reads stderr, that
thread waits, the queue fills, and what does not fit is dropped and counted; as soon as there
is room again, the count is written. Setting the descriptor to not block is no way: it is shared
with whatever else writes to the same terminal or pipe.
"""

import os
import select
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic, sleep

from flowtools.core.tracing import start_thread

ROOM = 1024 * 1024
"""Bytes that may wait to be written."""

CROWDED = ROOM // 4
"""Bytes that wait from which a writer of messages gives way to the thread, as long as it gets
on: many threads that print would else fill the queue before it has the interpreter."""

STUCK_SECONDS = 0.05
"""A write that takes so long waits for a reader."""


class Stderr:
    """Writes lines to a descriptor, in the order in which they were put. Safe from any thread."""

    def __init__(self, fd: int, dropped: Callable[[int], bytes]) -> None:
        """Write to `fd`; `dropped` makes the line that says how many were dropped."""
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
        """Have `line` written; dropped if there is no room."""
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
        """Wait until all is written, at most `seconds`; return whether it is.

        Where nobody has read for a while, there is little hope: then it waits for less.
        """
        since = self._writing_since
        if since is not None and monotonic() - since > 1.0:
            seconds = min(seconds, 0.2)
        with self._change:
            return self._change.wait_for(lambda: not self._size, seconds)

    def stop(self, seconds: float) -> None:
        """Write all, within `seconds`, and end the thread; the next line starts another.

        For a fork, which should have one thread only.
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
        except RuntimeError:  # No thread can be had: the end is near, and has to be said.
            self._thread = None
            self._write(self._take())

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._lines or self._is_ending)
                if not self._lines:
                    self._thread = None
                    return
                taken = self._take()
            self._write(taken)
            with self._change:
                self._size -= len(taken)
                if self._lost and not self._lines:
                    line = self._dropped(self._lost)
                    self._lost = 0
                    self._lines.append(line)
                    self._size += len(line)
                self._change.notify_all()

    def _take(self) -> bytes:
        """Take as many lines as one write may have; those that are taken keep their room."""
        taken = [self._lines.popleft()]
        size = len(taken[0])
        while self._lines and size + len(self._lines[0]) <= 65536:
            taken.append(self._lines.popleft())
            size += len(taken[-1])
        return b"".join(taken)

    def _write(self, taken: bytes) -> None:
        self._writing_since = monotonic()
        try:
            if self.lead is not None:
                self.lead(taken.decode("utf-8", "replace"))
            else:
                self._write_all(memoryview(taken))
        except (OSError, ValueError):
            self._lost += taken.count(b"\n")  # Closed, or the disk is full: nobody to tell now.
        self._writing_since = None

    def _write_all(self, view: memoryview) -> None:
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:
                # Someone who shares this descriptor has made it non-blocking.
                select.select([], [self.fd], [])
