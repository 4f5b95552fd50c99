"""The window of reports in flight, and when each is remembered as done.

Without acknowledgement a report is done once its line has been written. With acknowledgement it is
done once its event is; until then it is in flight, and the window limits how many are. When
acknowledgements are lost because the process that owed them has died, the reports in flight are
written again, in a new epoch (source/epochs.py). The first acknowledgement of any copy counts.

The inlet's thread only puts acknowledgements into a queue; the source's thread does the rest.
"""

from collections import deque
from collections.abc import Callable
from threading import Lock

from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckInlet
from flowtools.ack.records import Ack
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.wait import Wake, wait
from flowtools.source.epochs import Epochs
from flowtools.source.folder.clearing import Clearing
from flowtools.source.folder.names import text_of
from flowtools.source.folder.report import Report
from flowtools.source.folder.state import State

log = get_log("flowtools.source.watch")


class Window:
    """The reports that are in flight.

    Its file descriptors become readable when there is something for `settle` to do.
    """

    def __init__(
        self,
        inlet: AckInlet,
        clearing: Clearing,
        state: State | None,
        leaving: Callable[[Report], None],
        left: Callable[[Report, bool], None],
        size: int,
    ) -> None:
        """Start to receive acknowledgements.

        Args:
            inlet: The receiver of acknowledgements.
            clearing: Leaves, moves or removes the files.
            state: Remembers the files.
            leaving: Called with a report whose files are about to be moved or removed.
            left: Called after that, with whether the files were moved or removed.
            size: Maximum number of reports in flight.
        """
        self._inlet = inlet
        self._clearing = clearing
        self._state = state
        self._leaving = leaving
        self._left = left
        self._size = size
        self._number = 0
        # A report has a number for each time it is written. By number: the report. By the report's
        # id(): all of its numbers. (A report cannot be a key itself: it holds a dict.)
        self._by_number: dict[int, Report] = {}
        self._in_flight: dict[int, list[int]] = {}
        self._epochs = Epochs(inlet)
        self._clearings = 0
        self._parting: Parting | None = None
        self._again: deque[Report] = deque()
        self._lock = Lock()
        self._acks: deque[Ack] = deque()
        self._lost: str | None = None
        self._wake = Wake()
        inlet.start(
            self._receive,
            lost=self._note_loss,
            held=self._held,
            in_flight=lambda: self._by_number,
        )

    def filenos(self) -> list[int]:
        """Return the descriptors that become readable when there is something to settle."""
        return [self._wake.fileno(), self._clearing.fileno()]

    def room(self) -> int:
        """Return how many more reports may be in flight."""
        return max(0, self._size - self.unsettled())

    def unsettled(self) -> int:
        """Return the number of reports that are not finished yet."""
        return len(self._in_flight) + self._clearings

    def again(self) -> list[Report]:
        """Return, once, the reports that have to be written again."""
        # Acknowledgements that were on their way may have settled some of them since.
        found = [report for report in self._again if id(report) in self._in_flight]
        self._again.clear()
        return found

    def add(self, report: Report, event: Event) -> None:
        """Add `report`, now in flight; set in `event` where to acknowledge it."""
        self._number += 1
        self._by_number[self._number] = report
        self._in_flight.setdefault(id(report), []).append(self._number)
        event.attributes["ackto"] = self._epochs.ackto(self._number)

    def settle(self) -> None:
        """Process the acknowledgements and the finished moves that have arrived."""
        self._wake.clear()
        with self._lock:
            acks, self._acks = self._acks, deque()
            lost, self._lost = self._lost, None
        for ack in acks:
            report = self._by_number.get(ack.number) if ack.epoch in self._epochs else None
            if report is None:
                continue
            # The first acknowledgement of any copy counts; the others find nothing.
            for number in self._in_flight.pop(id(report)):
                del self._by_number[number]
            if not ack.done:
                log.warning("'%s' was rejected", text_of(report.name))
            self.clear(report, done=ack.done)
        if lost is not None and self._in_flight:
            log.warning("writing %s again: %s", counted(len(self._in_flight), "event"), lost)
            self._again.extend({id(each): each for each in self._by_number.values()}.values())
            self._epochs.begin()
        self._take_cleared()

    def clear(self, report: Report, *, done: bool) -> None:
        """Leave, move or remove the files of a report that is done or rejected."""
        self._clearings += 1
        self._leaving(report)
        self._clearing.put((report, done))

    def part(self, seconds: float) -> Parting:
        """Begin the wait for the last acknowledgements, of up to `seconds`, if it has not begun."""
        self._parting = self._parting or Parting(self._inlet, seconds)
        return self._parting

    def settle_last(self, seconds: float) -> None:
        """Wait, after the reader has gone, for those who may still settle what it passed on."""
        parting = self.part(seconds)
        while self.unsettled() and not parting.is_over:
            wait(*self.filenos(), seconds=parting.LOOK_EVERY)
            self.settle()

    def close(self) -> None:
        """Process the acknowledgements that have arrived, and finish the moves that have begun."""
        # In this order: the last acknowledgements cause the last moves.
        self._inlet.close()
        self.settle()
        self._clearing.close()
        self._take_cleared()
        self._clearing.release()
        self._wake.close()

    def _take_cleared(self) -> None:
        for report, is_gone, is_settled in self._clearing.fetch():
            self._clearings -= 1
            self._left(report, is_gone)
            if is_settled and self._state is not None:
                files = report.members
                self._state.remember([(name, None) for name, _ in files] if is_gone else files)

    def _receive(self, acks: list[Ack]) -> None:
        with self._lock:
            self._acks.extend(acks)
        self._wake.ring()

    def _note_loss(self, reason: str) -> None:
        with self._lock:
            self._lost = reason
        self._wake.ring()

    def _held(self) -> int:
        held = len(self._in_flight)
        return held if held >= self._size else 0
