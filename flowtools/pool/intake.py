"""The lines on their way into the pool: read a block at a time, taken one at a time.

One thread at a time, the leader, reads; any thread takes. The leader also decodes the lines of a
block: checking all of them at once takes less time than checking each. Only an unusual line waits
undecoded, and the thread that takes it decodes it. The attributes of at most one block, and of the
line that ends in it, wait here.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import count, repeat
from threading import Lock
from time import monotonic

from flowtools.core.digits import huge_integer, may_exceed
from flowtools.core.event import Event, EventError, NotAnEvent, parse
from flowtools.core.lines import LineReader, without_end
from flowtools.core.seen import Wrapper
from flowtools.core.toolong import TooLong
from flowtools.core.usual import UNDECODED, Decoded, usual, usual_lines
from flowtools.pool.inflight import InFlight, Line
from flowtools.pool.settlement import Settlement

SOURCE = "flow-work"
"""The source of an event that is made from a line with another JSON value."""

LOOK_AHEAD = 16 * 1024 * 1024
"""Maximum number of bytes to read ahead for the total number of lines, if it is asked for."""


class Intake:
    """The lines that have been read and not yet taken.

    Attributes:
        lines: The lines; any thread takes one with `popleft`.
        has_ended: Whether the input has ended.
        is_reading: Whether a thread is waiting for input.
    """

    def __init__(
        self,
        reader: LineReader,
        settlement: Settlement,
        see: Callable[[bytes], None] | None = None,
        tell_total: Callable[[int], None] | None = None,
    ) -> None:
        """Read from `reader`; lines that are not events go to `settlement`.

        `see` is called with each line that has an `ackto` when it is taken (AckSender.see).
        `tell_total` is called with the number of non-empty lines when the input has ended. None:
        the number is not needed, and nothing is read ahead.
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
        """Read what is available, waiting for up to `seconds`; return whether there is a line.

        Only one thread at a time may read.

        Raises:
            FlowError: The input cannot be read.
        """
        self.is_reading = True
        lines = self._reader.read(seconds)
        self.is_reading = False
        found = self._accept(lines)
        ahead = 0
        # A percentage of --halt needs the number of all lines. Only what has arrived already is
        # read ahead, or the first events would wait for the last.
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
        # A block at a time. Lines that are read ahead may be many, and wait undecoded.
        decoded = usual_lines(lines) if self._tell_total is None else UNDECODED
        taken = self._numbered(lines, decoded)
        # One check of the whole block is far cheaper than a check of each line. The first line
        # may have begun in an earlier block.
        if may_exceed(self._reader.block) or may_exceed(lines[0]):
            self.lines.extend([line for line in taken if not self._is_refused(line)])
        else:
            self.lines.extend(taken)
        return True

    def add(self, lines: Sequence[bytes]) -> None:
        """Add `lines` behind everything that was read."""
        taken = self._numbered(lines, UNDECODED)
        self.lines.extend([line for line in taken if not self._is_refused(line)])

    def _numbered(self, lines: Sequence[bytes], decoded: Decoded) -> Iterator[Line]:
        first = self._number + 1
        self._number += len(lines)
        return zip(count(first), lines, repeat(monotonic()), *decoded, strict=False)

    def _is_refused(self, line: Line) -> bool:
        if not may_exceed(line[1]) or not (huge := huge_integer(line[1])):
            return False
        self._refuse(line[0], line[1], EventError(f"not JSON: integer {huge} exceeds 64 bits"))
        return True

    def flight(self, line: Line) -> InFlight | None:
        """Return the event of `line` as an InFlight; None: it is not an event, and was settled."""
        number, text, since, attributes, _ = line
        if attributes is None and self._tell_total is not None:
            attributes = usual(text)  # It was read ahead.
        if attributes is not None:
            event = Event.of(attributes)
        else:
            try:
                event = self._event(text, number)
            except EventError as error:
                self._refuse(number, text, error)
                return None
        if self._see is not None and "ackto" in event.attributes:
            self._see(text)  # When the block was read, only its last `ackto` was looked at.
        return InFlight(event, without_end(text), number, since)

    def _event(self, text: bytes, number: int) -> Event:
        try:
            return parse(text, digits_checked=True)
        except NotAnEvent as other:
            # Any thread decodes, but an id depends on how often its line has come: see Wrapper.
            with self._counting:
                return self._namer.event(other.value, without_end(text), number)

    def drain(self) -> list[InFlight]:
        """Remove and return all lines as events; lines that are not events are settled."""
        flights = [flight for line in self.lines if (flight := self.flight(line)) is not None]
        self.lines.clear()
        return flights

    def _refuse(self, number: int, line: bytes, error: EventError) -> None:
        if isinstance(line, TooLong):
            error = EventError(line.reason)
        # An empty line is found here only, so that other lines cost no check for it.
        if line.strip():
            self._settlement.invalid(number, without_end(line), error)
        else:
            self._settlement.empty(number)
