"""Runs a user's Source as flow-source does, and checks that it keeps the rules for Sources.

The Source runs in a thread of its own and writes to a pipe, which the thread of the test reads. Its
events pass through the same code as in flow-source. A Source that does not end leaves its thread
behind; the thread is a daemon, so that the test run can end.
"""

import os
from collections.abc import Callable
from threading import Thread
from time import monotonic
from typing import Any

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.event import Event, parse
from flowtools.core.lines import LineReader, LineWriter
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop
from flowtools.source.custom import CustomSource
from flowtools.worker.signature import check


def run_source(source: Any, *, count: int | None = None, seconds: float = 10.0) -> list[Event]:
    """Run a Source until it ends, or until it has given `count` events; return the events.

    Args:
        source: The Source, an object. Its `configure` is not called.
        count: Number of events after which the Source is ended; None: run until it ends by itself.
        seconds: Maximum time to wait for the events, and then for the end of the Source.

    Raises:
        AssertionError: The Source has not ended in time.
        FlowError: The Source raised an exception, or gave a value that is not an event.
    """
    running = _Running(source, count)
    try:
        events = running.take(count, seconds)
        running.join(
            seconds, "has not ended" + (f" after {counted(count, 'event')}" if count else "")
        )
    finally:
        running.close()
    running.raise_error()
    return events


def check_source(
    make: Callable[[], Any], *, count: int = 1, repeats: bool = False, seconds: float = 10.0
) -> None:
    """Check that a Source keeps the rules that flow-source relies on.

    The Source must give `count` events that can be written as JSON. It must end within `seconds`
    after a request to stop, and after the reader of its events has gone. With `repeats`, a new
    Source must give the same events with the same `source` and `id`.

    Args:
        make: Returns a new Source, which gives at least `count` events. It is called several times.
        count: Number of events to ask for.
        repeats: Whether a new Source is expected to give the same events again.
        seconds: Maximum time for each step of the check.

    Raises:
        AssertionError: The Source breaks a rule; the text says which.
        ConfigurationError: A method of the Source takes the wrong arguments.
        FlowError: The Source raised an exception, or gave a value that is not an event.
    """
    check("Source", make(), "Source")
    first = run_source(make(), count=count, seconds=seconds)
    if len(first) < count:
        raise AssertionError(f"the Source gave {counted(len(first), 'event')} instead of {count}")
    for leaves, when in (
        (False, "after a request to stop"),
        (True, "after its reader had gone"),
    ):
        running = _Running(make(), None)
        try:
            running.take(count, seconds)
            if leaves:
                running.leave()
            else:
                running.stop.set()
            running.join(seconds, f"has not ended {when}")
        finally:
            running.close()
        running.raise_error()
    if repeats:
        again = run_source(make(), count=count, seconds=seconds)
        if [(e.source, e.id) for e in again] != [(e.source, e.id) for e in first]:
            raise AssertionError("a new Source gave the same events other ids")


class _Running:
    """A Source that runs in a thread and writes to a pipe."""

    def __init__(self, source: Any, count: int | None) -> None:
        self.stop = Stop()
        # The reader needs a Stop of its own: `stop` would end it before the last events are read.
        self._never = Stop()
        self._read, self._write = os.pipe()
        self._reader = LineReader(self._read, self._never)
        self._source = CustomSource(source, type(source).__name__, count=count)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="source under test", daemon=True)
        start_thread(self._thread)

    def _run(self) -> None:
        try:
            self._source.run(LineWriter(self._write), self.stop)
        except (FlowError, ReaderGone) as error:
            self._error = error
        finally:
            os.close(self._write)

    def take(self, count: int | None, seconds: float) -> list[Event]:
        """Return the next `count` events; fewer if the Source ends, or `seconds` have passed."""
        events: list[Event] = []
        deadline = monotonic() + seconds
        while count is None or len(events) < count:
            lines = self._reader.read(max(0.0, deadline - monotonic()))
            if lines is None:
                break
            events += map(parse, lines)
            if monotonic() >= deadline:
                break
        return events[:count]

    def leave(self) -> None:
        """Close the reader's end of the pipe, as a command does that ends."""
        os.close(self._read)
        self._read = -1

    def join(self, seconds: float, complaint: str) -> None:
        """Wait until the Source has ended, at most `seconds`.

        Raises:
            AssertionError: The Source has not ended; the text contains `complaint`.
        """
        self._thread.join(seconds)
        # CustomSource abandons a Source that hangs, and then ends itself: `is_stuck` shows that.
        if self._thread.is_alive() or self._source.is_stuck:
            raise AssertionError(f"the Source {complaint}, within {seconds:g} s")

    def raise_error(self) -> None:
        """Raise the error that ended the Source, unless it is only that its reader has gone."""
        if self._error is not None and not isinstance(self._error, ReaderGone):
            raise self._error

    def close(self) -> None:
        """End the Source if it still runs, and close the reader's end of the pipe."""
        self.stop.set()
        self._thread.join(1.0)
        if self._read >= 0:
            os.close(self._read)
        # A thread that is left behind may still wait for `stop`: its descriptor must stay open.
        if not self._thread.is_alive():
            self.stop.close()
        self._never.close()
