"""What a Worker returns, as lines on stdout: whole, and in order where asked."""

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
"""Lines that may wait for an earlier one with --keep-order before no more are taken."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of results that may."""


class ResultError(Reject):
    """What `start` returned cannot be a line, however often it is done."""


def lines_of(event: Event, returned: Any) -> list[bytes]:
    """Return what `start` returned for `event` as lines.

    An Event is a line as it is; any other JSON value becomes the data of a
    `flow.work.result` event that has the subject of `event` and an id made from its source and
    id, so that doing the same event again gives the same ids. None gives nothing. Each result
    has the trace of `event` (`traceparent`, `tracestate`) unless it has its own. The
    acknowledgement address never travels on: acknowledging is the pool's own duty.

    Raises:
        ResultError: A value has no JSON form. The work was done, so it is not done again.
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
    """Writes the lines of settled events as they come."""

    is_full = False

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def put(self, number: int, lines: list[bytes], written: Written) -> None:
        """Write the lines of input line `number`, each in one write; then call `written`.

        Raises:
            ReaderGone: Nobody reads stdout any more.
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
        # What waits for an earlier number; None: nothing but its turn.
        self._waiting: dict[int, tuple[list[bytes], Written] | None] = {}

    @property
    def is_full(self) -> bool:  # type: ignore[override]
        """Whether so much waits for an earlier line that no further one must be taken."""
        return len(self._waiting) >= MAX_SPAN or self._bytes >= MAX_BYTES

    def put(self, number: int, lines: list[bytes], written: Written) -> None:
        """Write, or keep until all earlier numbers have been put.

        Where there is nothing to write, nothing waits: `written` is called at once.
        """
        if not lines:
            written()
        with self._lock:
            self._waiting[number] = (lines, written) if lines else None
            self._bytes += sum(map(len, lines))
            while self._next in self._waiting:
                due = self._waiting.pop(self._next)
                self._next += 1
                if due is not None:
                    self._bytes -= sum(map(len, due[0]))
                    super().put(self._next - 1, *due)
