"""Writes what a Worker returns as lines on stdout, with --keep-order in the order of the input.

`lines_of` runs inside the attempt, since iterating over a generator is the Worker's code. The lines
are written when the attempt has ended, by the thread that settles the event. With --keep-order, the
lines of a later event wait in memory until the thread of an earlier one comes: that thread then
writes them, too, and completes their events.
"""

import threading
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from flowtools.core.cloudevents import complaint
from flowtools.core.event import Event, EventError
from flowtools.core.lines import LineWriter
from flowtools.core.result import result_of, traced
from flowtools.worker.exceptions import Reject

RESULT = "flow.work.result"
MAX_SPAN = 10_000
"""Maximum number of lines that wait for an earlier one with --keep-order."""
MAX_BYTES = 64 * 1024 * 1024
"""Maximum size, in bytes, of the results that wait for an earlier line."""


class ResultError(Reject):
    """`start` returned something that cannot be a line; another attempt would not help."""


def lines_of(event: Event, returned: Any) -> list[bytes]:
    """Return the lines for what `start` returned for `event`.

    An Event becomes a line unchanged. Any other JSON value becomes the data of a
    `flow.work.result` event with the subject of `event` and an id made from its source and id, so
    that processing the same event again gives the same ids. None gives no line. Each result gets
    the trace of `event` (`traceparent`, `tracestate`) unless it has its own. `ackto` is always
    removed: acknowledging is the pool's own duty.

    Raises:
        ResultError: A value has no JSON form. The work was done, so that it is not tried again.
    """
    if returned is None:
        return []
    if isinstance(returned, GeneratorType):
        return [line for index, item in enumerate(returned) for line in _line(event, item, index)]
    return list(_line(event, returned, 0))


def _line(event: Event, value: Any, index: int) -> Iterator[bytes]:
    if value is None:
        return
    if not isinstance(value, Event):
        value = result_of(event, value, index, source="flow-work", type=RESULT)
    elif found := complaint(value.attributes):
        raise ResultError(f"a result is not a CloudEvents 1.0 event: {found}")
    elif "ackto" in value.attributes or "traceparent" in event.attributes:
        # A copy: the Worker may use its event again.
        value = traced(_without_ackto(value), event)
    try:
        yield value.encode()
    except EventError as error:
        raise ResultError(f"a result {error}") from None


def _without_ackto(event: Event) -> Event:
    return Event.of({name: each for name, each in event.attributes.items() if name != "ackto"})


Written = Callable[[], None]


class Results:
    """Writes the lines of each event at once."""

    is_full = False

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def put(self, number: int, lines: list[bytes], written: Written) -> None:
        """Write the lines of input line `number`, each in one write; then call `written`.

        Raises:
            ReaderGone: The reader of stdout has gone.
        """
        for line in lines:
            self._writer.write(line)
        written()


class OrderedResults(Results):
    """Writes the lines in the order of the input; every number must be put once."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__(writer)
        self._lock = threading.Lock()
        self._next = 1
        self._bytes = 0
        # The results that wait for an earlier number; None: a number without results.
        self._waiting: dict[int, tuple[list[bytes], Written] | None] = {}

    @property
    def is_full(self) -> bool:  # type: ignore[override]
        """Whether so much waits for an earlier line that no further line may be taken."""
        return len(self._waiting) >= MAX_SPAN or self._bytes >= MAX_BYTES

    def put(self, number: int, lines: list[bytes], written: Written) -> None:
        """Write the lines, or keep them until all earlier numbers have been put.

        If there are no lines, `written` is called at once.
        """
        if not lines:
            written()
        # Held during the writes: the lines of another thread would get in between.
        with self._lock:
            self._waiting[number] = (lines, written) if lines else None
            self._bytes += sum(map(len, lines))
            while self._next in self._waiting:
                due = self._waiting.pop(self._next)
                self._next += 1
                if due is not None:
                    self._bytes -= sum(map(len, due[0]))
                    super().put(self._next - 1, *due)
