"""A pool from its parts to its end: the one order in which they start and stop.

The Worker is configured before the first line is read. After the last event: what was
read and not done goes where nothing loses it, the last acknowledgements are sent, and
the Worker cleans up.
"""

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from types import FrameType
from typing import Protocol

from flowtools.core.errors import EventsFailed, FlowError, ReaderGone
from flowtools.core.lines import MAX_LINE, LineReader, LineWriter
from flowtools.core.log import About, get_log
from flowtools.core.wait import HasFileno, Stop, Wake
from flowtools.pool.backlog import Backlog
from flowtools.pool.outcome import Outcome
from flowtools.pool.pool import Pool
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.runner import Runner
from flowtools.pool.settings import Acknowledger, Carrier, Failures, Recorder, Settings
from flowtools.pool.settlement import Settlement
from flowtools.pool.snapshot import Snapshot
from flowtools.pool.watchdog import Notifier, Reopened, Watchdog
from flowtools.process.overheard import inherited

log = get_log("flowtools.pool")

LEFT = "left"
"""What counts the lines that were read, are not done, and are in no other place."""


class Onward(Carrier, Protocol):
    """Hands duties on; flowtools.ack.relay.Relay is one."""

    def wait_until_settled(self, stop: Stop, drain: float, reader: HasFileno) -> None:
        """Wait until the lines are settled, after `stop` for up to `drain` seconds.

        Raises:
            ReaderGone: The reader of the lines has gone.
        """

    def close(self, *, bye: bool) -> None:
        """End, and close the sender of acknowledgements behind it."""


class Sender(Acknowledger, Protocol):
    """Sends acknowledgements, and at the end the last of them."""

    def see(self, block: bytes) -> None:
        """Take note of a piece of the input: its source learns that its events are taken."""

    def close(self, seconds: float, *, bye: bool) -> None:
        """Send what is left, for up to `seconds`; `bye`: everything that was read is settled."""


@dataclass(frozen=True)
class Input:
    """What a pool reads.

    Attributes:
        fd: Where its lines come from.
        stop: Asks it to take no more of them.
        acks: Acknowledges them.
        rest: What to do about lines that are on their way when the pool ends; None: leave them.
        max_line: Bytes that one of its lines may have; None: as the command was told.
    """

    fd: int
    stop: Stop
    acks: Sender
    rest: "Rest | None" = None
    max_line: int | None = None


@dataclass(frozen=True)
class Rest:
    """The lines that are on their way to a pool when it ends; they are kept like those it had.

    Attributes:
        seconds: How long to wait for the end of the input.
        ask: Asks a source in this process to end; None: the source is another process, whose
            lines only matter after a stop, and where there is a file to keep them.
    """

    seconds: float
    ask: Callable[[], None] | None = None


@dataclass
class Parts:
    """What plugs into a pool; each may be left out.

    Attributes:
        recorders: Are told of each attempt.
        failures: Keeps the lines of events that failed for good.
        acks: Acknowledges events to their source; None: nobody is told.
        relay: Hands the duty to acknowledge an event on to its results.
        notifier: The service manager that watches this process.
        keep_order: Write results in the order of the input.
        max_line: Bytes that an input line may have.
        files: Go on in new files when SIGHUP asks for it, after a log rotation.
    """

    recorders: Sequence[Recorder] = ()
    failures: Failures | None = None
    acks: Sender | None = None
    relay: Onward | None = None
    notifier: Notifier | None = None
    keep_order: bool = False
    max_line: int = MAX_LINE
    files: Sequence[Reopened] = ()


@dataclass
class Work:
    """A pool that reads lines from a file descriptor.

    Attributes:
        runners: Makes the runner of each thread.
        settings: How the pool behaves.
        parts: What plugs into it.
        pool: The pool, once it runs; for those who display its state.
        watchdog: Its watchdog, once it runs.
    """

    runners: Callable[[], Runner]
    settings: Settings
    parts: Parts = field(default_factory=Parts)
    pool: Pool | None = None
    watchdog: Watchdog | None = None

    def run(
        self, fd: int, writer: LineWriter, stop: Stop, rest: Rest | None = None
    ) -> Counter[str]:
        """Run until the input ends, `stop` is set, or the pool ends itself.

        Returns how many events had which final outcome; LEFT counts the lines that were
        read, not done, and are nowhere else.

        Raises:
            FlowError: What ended the pool early.
            ReaderGone: Nobody reads the results any more.
        """
        wake = Wake()
        acks = self.parts.acks
        reader = LineReader(
            fd,
            stop,
            wake=wake.fileno(),
            max_line=self.parts.max_line,
            tee=acks.see if acks is not None else None,
        )
        results = OrderedResults(writer) if self.parts.keep_order else Results(writer)
        backlog = Backlog()
        settlement = Settlement(
            results,
            backlog,
            self.settings,
            recorders=self.parts.recorders,
            failures=self.parts.failures,
            acks=acks,
            relay=self.parts.relay,
        )
        self.pool = Pool(reader, results, backlog, settlement, self.settings, wake=wake)
        with ExitStack() as stack:
            dump = stack.enter_context(_rung_by(signal.SIGUSR1))
            # Where there is nothing to reopen, SIGHUP means what it means to everybody.
            files = self.parts.files
            rotated = stack.enter_context(_rung_by(signal.SIGHUP)) if files else None
            self.watchdog = Watchdog(
                self.pool,
                self.runners,
                stop,
                dump=dump,
                rotated=rotated,
                files=files,
                notifier=self.parts.notifier,
                out=writer,
            )
            self.watchdog.run()
        wanted = rest if self._wants(rest, stop) else None
        left = self._keep_what_is_left(settlement, reader, wanted)
        totals = settlement.totals(self.pool.slots)
        totals[LEFT] = left
        self._close_acks(self.pool, stop, writer)
        if self.pool.error is not None:
            raise self.pool.error
        return totals

    def counts(self) -> Counter[str]:
        """Return how many events have had which final outcome so far; safe from any thread."""
        if self.pool is None:
            return Counter()
        return self.pool.settlement.totals(self.pool.slots)

    def _wants(self, rest: Rest | None, stop: Stop) -> bool:
        if rest is None or rest.ask is not None:
            return rest is not None
        return stop.is_set() and self.parts.failures is not None

    def _keep_what_is_left(
        self, settlement: Settlement, reader: LineReader, rest: Rest | None
    ) -> int:
        """Bring what was read and not done into safety; return how many lines are nowhere."""
        pool = self.pool
        assert pool is not None
        lost = 0
        try:
            lost = sum(not settlement.left_over(job) for job in pool.left_over())
            if rest is not None:
                if rest.ask is not None:
                    rest.ask()
                for lines in reader.rest(rest.seconds):
                    left = pool.left_over(lines)
                    lost += sum(not settlement.left_over(job) for job in left)
        except (FlowError, ReaderGone) as error:
            pool.fail(error)
        if lost and not isinstance(pool.error, ReaderGone):
            log.warning(
                "%d lines had been read and are not done; --failed FILE would have kept them", lost
            )
        return lost

    def _close_acks(self, pool: Pool, stop: Stop, writer: LineWriter) -> None:
        """Send the last acknowledgements; say `bye` only where everything that came is settled."""
        acks, relay = self.parts.acks, self.parts.relay
        if relay is not None:
            if pool.error is None:
                with suppress(ReaderGone):
                    relay.wait_until_settled(stop, self.settings.drain, writer)
            relay.close(bye=not (pool.stopping or stop.is_set()))
        elif acks is not None:
            acks.close(5.0, bye=not (pool.stopping or stop.is_set()))

    def snapshot(self) -> Snapshot:
        """Return what the pool is busy with; safe from any thread."""
        pool, watchdog = self.pool, self.watchdog
        if pool is None or watchdog is None:
            return Snapshot([], 0, self.settings.threads, 0)
        now = monotonic()
        busy = [(slot.job, now - slot.started) for slot in pool.slots]
        running = [(job.label, seconds) for job, seconds in busy if job is not None]
        abandoned = sum(not slot.ended for slot in watchdog.abandoned)
        return Snapshot(running, pool.queued(), self.settings.threads, abandoned)


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


def whose(work: Work | None = None) -> About | None:
    """Return which attempt the calling thread works for, for what it writes.

    That is the one that it runs, or that was running in the thread by which it was started.
    Where nobody knows, it is the one that runs, if there is only one.
    """
    if work is None or work.pool is None or work.watchdog is None:
        return None
    me, running = threading.get_ident(), []
    for slot in [*work.pool.slots, *work.watchdog.abandoned]:
        about = slot.about()
        if about is None:
            continue
        if slot.thread is not None and slot.thread.ident == me:
            return about
        running.append(about)
    started_by = inherited()
    if started_by in running:
        return started_by
    if not running and len(work.pool.slots) == 1:
        return work.pool.slots[0].about(is_last=True)  # A program's last words come late.
    return running[0] if len(running) == 1 else None


@contextmanager
def _rung_by(signum: int) -> Iterator[Wake]:
    wake = Wake()

    def handle(signum: int, frame: FrameType | None) -> None:
        wake.ring()

    if threading.current_thread() is not threading.main_thread():
        yield wake  # A library user's thread: signals are not ours there.
        wake.close()
        return
    previous = signal.signal(signum, handle)
    try:
        yield wake
    finally:
        signal.signal(signum, previous)
        wake.close()
