"""A pool from its parts to its end: the one order in which they start and stop.

The Worker is configured before the first line is read. After the last event: what was
read and not done goes where nothing loses it, the last acknowledgements are sent, and
the Worker cleans up.
"""

import logging
import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import Protocol

from flowtools.core.errors import EventsFailed, FlowError, ReaderGone
from flowtools.core.lines import MAX_LINE, LineReader, LineWriter
from flowtools.core.wait import Stop, Wake
from flowtools.pool.backlog import Backlog
from flowtools.pool.control import Control
from flowtools.pool.inflight import Crew
from flowtools.pool.intake import Intake
from flowtools.pool.outcome import Outcome
from flowtools.pool.pool import Pool
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.runner import Runner
from flowtools.pool.settings import Acknowledger, Failures, Recorder, Settings
from flowtools.pool.settlement import Settlement
from flowtools.pool.tally import Snapshot
from flowtools.pool.watchdog import Notifier, Watchdog
from flowtools.process.console import say

log = logging.getLogger("flowtools.pool")

LEFT = "left"
"""What counts the lines that were read, are not done, and are in no other place."""


class Sender(Acknowledger, Protocol):
    """Sends acknowledgements, and at the end the last of them."""

    def see(self, block: bytes) -> None:
        """Take note of a piece of the input: its source learns that its events are taken."""

    def close(self, seconds: float, *, bye: bool) -> None:
        """Send what is left, for up to `seconds`; `bye`: everything that was read is settled."""


class Reopened(Protocol):
    """A file that others may rename while it is written."""

    def reopen(self) -> None:
        """Go on in a new file of the same name.

        Raises:
            FlowError: It cannot be opened; what is written still goes to the old one.
        """


@dataclass(frozen=True)
class Input:
    """What a pool reads.

    Attributes:
        fd: Where its lines come from.
        stop: Asks it to take no more of them.
        acks: Acknowledges them; None: nobody does.
    """

    fd: int
    stop: Stop
    acks: Sender | None = None


@dataclass
class Parts:
    """What plugs into a pool; each may be left out.

    Attributes:
        recorders: Are told of each attempt.
        failures: Keeps the lines of events that failed for good.
        notifier: The service manager that watches this process.
        keep_order: Write results in the order of the input.
        max_line: Bytes that an input line may have.
        files: Go on in new files when SIGHUP asks for it, after a log rotation.
    """

    recorders: Sequence[Recorder] = ()
    failures: Failures | None = None
    notifier: Notifier | None = None
    keep_order: bool = False
    max_line: int = MAX_LINE
    files: Sequence[Reopened] = ()


class Work:
    """One run of a pool.

    Args:
        settings: How the pool behaves.
        given: What it reads.
        writer: Where results go.
        runners: Makes the runner of each thread.
        parts: What plugs into it.
        crew: Its threads, for those who ask what runs; made here if it is not given.

    Attributes:
        pool, crew, control: See there.
    """

    def __init__(
        self,
        settings: Settings,
        given: Input,
        writer: LineWriter,
        runners: Callable[[], Runner],
        parts: Parts | None = None,
        crew: Crew | None = None,
    ) -> None:
        parts = parts or Parts()
        self.crew = crew = crew or Crew()
        self.control = control = Control()
        self._settings = settings
        self._acks = given.acks
        self._stop = given.stop
        self._files = parts.files
        self._dump, self._rotated = Wake(), Wake()
        results = OrderedResults(writer) if parts.keep_order else Results(writer)
        backlog = Backlog()
        self._settlement = settlement = Settlement(
            results,
            backlog,
            settings,
            control,
            recorders=parts.recorders,
            failures=parts.failures,
            acks=given.acks,
        )
        reader = LineReader(
            given.fd,
            given.stop,
            wake=control.leader.fileno(),
            max_line=parts.max_line,
            tee=given.acks.see if given.acks is not None else None,
        )
        intake = Intake(reader, settlement)
        self.pool = Pool(intake, backlog, settlement, results, settings, crew, control)
        self._watchdog = Watchdog(
            crew,
            control,
            settings,
            self.pool,
            runners,
            given.stop,
            bells=((self._dump, self.report), (self._rotated, self._reopen)),
            notifier=parts.notifier,
        )

    def run(self) -> Counter[str]:
        """Run until the input ends, its `stop` is set, or the pool ends itself.

        Returns how many events had which final outcome; LEFT counts the lines that were
        read, not done, and are nowhere else.

        Raises:
            FlowError: What ended the pool early.
            ReaderGone: Nobody reads the results any more.
        """
        with ExitStack() as stack:
            stack.enter_context(_rung_by(signal.SIGUSR1, self._dump))
            if self._files:
                # Where there is nothing to reopen, SIGHUP means what it means to everybody.
                stack.enter_context(_rung_by(signal.SIGHUP, self._rotated))
            self._watchdog.run()
        left = _keep_what_is_left(self.pool, self._settlement, self.control)
        totals = self._settlement.totals(self.crew.slots)
        totals[LEFT] = left
        self._dump.close()
        self._rotated.close()
        if self._acks is not None:
            was_stopped = self.control.stopping or self._stop.is_set()
            self._acks.close(5.0, bye=not was_stopped)
        if self.control.error is not None:
            raise self.control.error
        return totals

    def snapshot(self) -> Snapshot:
        """Return what the pool is busy with; safe from any thread."""
        crew = self.crew
        return Snapshot(crew.running(), self.pool.queued(), self._settings.threads, crew.stuck())

    def report(self) -> None:
        """Print the pool's state and every thread's stack to stderr."""
        frames = sys._current_frames()  # noqa: SLF001  documented as for such a use
        now = monotonic()
        totals = self._settlement.totals(self.crew.slots)
        counted = ", ".join(f"{totals[each]} {each}" for each in Outcome if totals[each])
        waiting, stuck = self.pool.queued(), self.crew.stuck()
        counted = counted or "no event has ended"
        lines = [f"{counted}; {waiting} events waiting; {stuck} threads abandoned"]
        for slot in [*self.crew.slots, *self.crew.abandoned]:
            flight, thread = slot.flight, slot.thread
            what = f"'{flight.label}' for {now - slot.started:.1f} s" if flight else "idle"
            lines.append(f"thread {thread.ident if thread else '?'}: {what}")
            frame = frames.get(thread.ident or 0) if thread else None
            lines += [row.rstrip() for row in traceback.format_stack(frame)] if frame else []
        # Our own is among them, a circle: they would keep what each thread has in hand just now.
        frames.clear()
        for line in "\n".join(lines).split("\n"):
            say(line)

    def _reopen(self) -> None:
        for file in self._files:
            try:
                file.reopen()
            except FlowError as error:
                log.error("%s; what comes still goes to the old file", error)


def _keep_what_is_left(pool: Pool, settlement: Settlement, control: Control) -> int:
    """Bring what was read and not done into safety; return how many lines are nowhere."""
    lost = 0
    try:
        lost = sum(not settlement.left_over(flight) for flight in pool.left_over())
    except (FlowError, ReaderGone) as error:
        control.fail(error)
    if lost and not isinstance(control.error, ReaderGone):
        log.warning(
            "%d lines had been read and are not done; --failed FILE would have kept them", lost
        )
    return lost


def check(totals: Counter[str]) -> None:
    """End well only if every event did.

    Raises:
        EventsFailed: Some did not; its status is that of their outcomes.
    """
    bad = [outcome for outcome in Outcome if outcome.status is EventsFailed.status]
    failed = sum(totals[outcome] for outcome in bad)
    if failed:
        total = sum(totals.values()) - totals[LEFT]
        kinds = ", ".join(f"{totals[kind]} {kind}" for kind in bad if totals[kind])
        more = f" ({kinds})" if totals[Outcome.FAILED] < failed else ""
        raise EventsFailed(f"{failed} of {total} events failed{more}")


@contextmanager
def _rung_by(signum: int, wake: Wake) -> Iterator[None]:
    def handle(signum: int, frame: FrameType | None) -> None:
        wake.ring()

    if threading.current_thread() is not threading.main_thread():
        yield  # A library user's thread: signals are not ours there.
        return
    previous = signal.signal(signum, handle)
    try:
        yield
    finally:
        signal.signal(signum, previous)
