"""Lines on their way into the pool: read a block at a time, taken one at a time.

A line waits as it is and is decoded by the thread that takes it, so that an event lives no
longer than it runs: memory that is in the processor's cache is used again at once.
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count, repeat
from threading import Lock
from time import monotonic
from typing import Any

from flowtools.core.digits import huge_integer, may_exceed
from flowtools.core.event import Event, EventError, NotAnEvent, parse
from flowtools.core.lines import LineReader, without_end
from flowtools.core.seen import Wrapper
from flowtools.core.toolong import TooLong
from flowtools.pool.inflight import InFlight, Line
from flowtools.pool.settlement import Settlement

SOURCE = "flow-work"
"""The source of an event that a line becomes which is another JSON value."""

LOOK_AHEAD = 16 * 1024 * 1024
"""Bytes that are read to find the end of the input, where somebody wants to know the total."""


class Intake:
    """The lines that have been read and not been taken.

    Attributes:
        lines: They; `popleft` takes one, in any thread.
        has_ended: There will be no more.
        is_reading: A thread waits for input.
    """

    def __init__(
        self,
        reader: LineReader,
        settlement: Settlement,
        see: Callable[[bytes], None] | None = None,
        tell_total: Callable[[int], None] | None = None,
    ) -> None:
        """Read from `reader`; lines that are no events go to `settlement`.

        `see` is told of each line with an `ackto` when it is taken (AckSender.see).
        `tell_total` is told how many lines that are not empty the input has, when it has ended;
        None: nobody wants to know, and nothing is read ahead.
        """
        self.lines: deque[Line] = deque()
        self.has_ended = False
        self.is_reading = False
        self._reader = reader
        self._settlement = settlement
        self._see = see
        self._tell_total = tell_total
        self._number = self._total = 0
        self._namer = Wrapper(SOURCE)
        self._counting = Lock()

    def read(self, seconds: float | None) -> bool:
        """Read what there is, waiting for up to `seconds`; return whether there is a line.

        One thread at a time may read.

        Raises:
            FlowError: The input cannot be read.
        """
        self.is_reading = True
        lines = self._reader.read(seconds)
        self.is_reading = False
        found = self._accept(lines)
        ahead = 0
        while found and self._tell_total and not self.has_ended and ahead < LOOK_AHEAD:
            if not self._accept(self._reader.read(0)):
                break
            ahead += len(self._reader.block)
        return found

    def _accept(self, lines: list[bytes] | None) -> bool:
        if lines is None:
            if self._tell_total is not None and not self.has_ended:
                self._tell_total(self._total)
            self.has_ended = True
            return False
        if self._tell_total is not None:
            self._total += sum(1 for line in lines if line.strip())
        if not lines:
            return False
        first = self._number + 1
        self._number += len(lines)
        taken = zip(count(first), lines, repeat(monotonic()), strict=False)
        # One look at the whole block is far cheaper than one at each line.
        if may_exceed(self._reader.block) or may_exceed(lines[0]):
            self.lines.extend([line for line in taken if not self._is_refused(line)])
        else:
            self.lines.extend(taken)
        return True

    def add(self, lines: Sequence[bytes]) -> None:
        """Take `lines`, which come after all that was read."""
        taken = zip(count(self._number + 1), lines, repeat(monotonic()), strict=False)
        self._number += len(lines)
        self.lines.extend([line for line in taken if not self._is_refused(line)])

    def _is_refused(self, line: Line) -> bool:
        if not may_exceed(line[1]) or not (huge := huge_integer(line[1])):
            return False
        self._refuse(line[0], line[1], EventError(f"not JSON: integer {huge} exceeds 64 bits"))
        return True

    def flight(
        self,
        line: Line,
        attributes: dict[str, Any] | None = None,
        *,
        digits_checked: bool = True,
    ) -> InFlight | None:
        """Return the event of `line`, to be kept; None: the line is not an event, and is settled.

        `attributes`: of that event, where they are known.
        """
        number, text, since = line
        if attributes is not None:
            event = Event.of(attributes)
        else:
            try:
                event = self._event(text, number, digits_checked)
            except EventError as error:
                self._refuse(number, text, error)
                return None
        if self._see is not None and "ackto" in event.attributes:
            self._see(text)
        return InFlight(event, without_end(text), number, since)

    def _event(self, text: bytes, number: int, digits_checked: bool) -> Event:
        try:
            return parse(text, digits_checked=digits_checked)
        except NotAnEvent as other:
            with self._counting:
                return self._namer.event(other.value, without_end(text), number)

    def drain(self) -> list[InFlight]:
        """Return what nobody took; lines that are no events are settled as such."""
        flights = [flight for line in self.lines if (flight := self.flight(line)) is not None]
        self.lines.clear()
        return flights

    def _refuse(self, number: int, line: bytes, error: EventError) -> None:
        if isinstance(line, TooLong):
            error = EventError(line.reason)
        if line.strip():
            self._settlement.invalid(number, without_end(line), error)
        else:
            self._settlement.empty(number)
