"""A user's Source, run as flow-source runs it, and held to what a Source promises."""

import os
from collections.abc import Callable
from threading import Thread
from time import monotonic
from typing import Any

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.event import Event, parse
from flowtools.core.lines import LineReader, LineWriter
from flowtools.core.wait import Stop
from flowtools.source.custom import CustomSource
from flowtools.worker.signature import check


def run_source(source: Any, *, count: int | None = None, seconds: float = 10.0) -> list[Event]:
    """Run a Source until it ends, or has given `count` events; return its events.

    Args:
        source: The object; it is not configured.
        count: How many events are wanted; None: all until it ends by itself.
        seconds: How long that may take.

    Raises:
        AssertionError: It has not ended by then.
        FlowError: It raised, or gave values that are no events.
    """
    running = _Running(source, count)
    try:
        events = running.take(count, seconds)
        running.join(seconds, "has not ended" + (f" after {count} events" if count else ""))
    finally:
        running.close()
    running.raise_error()
    return events


def check_source(
    make: Callable[[], Any], *, count: int = 1, repeats: bool = False, seconds: float = 10.0
) -> None:
    """Hold a Source to what flow-source asks of it.

    It gives events, which JSON can say; it ends within `seconds` when it is told to, and when
    nobody reads any more; and with `repeats` a new Source gives the same happenings the same ids.

    Args:
        make: Makes a new Source, which gives at least `count` events.
        count: How many events it is asked for.
        repeats: The Source tells the same again when it is made anew.
        seconds: How long each of these may take.

    Raises:
        AssertionError: It does not; the text says what.
        ConfigurationError: Its methods cannot be called.
        FlowError: It raised, or gave values that are no events.
    """
    check("Source", make(), "Source")
    first = run_source(make(), count=count, seconds=seconds)
    if len(first) < count:
        raise AssertionError(f"the Source gave {len(first)} events, and not {count}")
    for leaves, when in ((False, "when it was told to"), (True, "when its reader had gone")):
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
            raise AssertionError("the Source gave the same happenings other ids when made anew")


class _Running:
    """A Source at work in a thread, behind a pipe."""

    def __init__(self, source: Any, count: int | None) -> None:
        self.stop = Stop()
        self._never = Stop()
        self._read, self._write = os.pipe()
        self._reader = LineReader(self._read, self._never)
        self._source = CustomSource(source, type(source).__name__, count=count)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="source under test", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._source.run(LineWriter(self._write), self.stop)
        except (FlowError, ReaderGone) as error:
            self._error = error
        finally:
            os.close(self._write)

    def take(self, count: int | None, seconds: float) -> list[Event]:
        """Return the next `count` events, or those until the end or `seconds` from now."""
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
        """Close the reader's end of the pipe."""
        os.close(self._read)
        self._read = -1

    def join(self, seconds: float, complaint: str) -> None:
        """Wait for the end.

        Raises:
            AssertionError: It has not come; the text has the `complaint`.
        """
        self._thread.join(seconds)
        if self._thread.is_alive() or self._source.is_stuck:
            raise AssertionError(f"the Source {complaint}, within {seconds:g} s")

    def raise_error(self) -> None:
        """Raise what ended the Source, but that its reader has gone."""
        if self._error is not None and not isinstance(self._error, ReaderGone):
            raise self._error

    def close(self) -> None:
        """End it, if it has not, and release the pipe."""
        self.stop.set()
        self._thread.join(1.0)
        if self._read >= 0:
            os.close(self._read)
        if not self._thread.is_alive():
            self.stop.close()
        self._never.close()
