"""One run of a pool: makes its parts, starts and ends them in the right order.

The Worker is configured before the first line is read. After the last event, lines that were read
and not done are brought to safety, then the last acknowledgements are sent, and then the Worker
cleans up. The order matters: `bye`, the last word to a source, may only be said when it is known
what has been settled.
"""

import signal
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from types import FrameType
from typing import Protocol

from flowtools.core.errors import EventsFailed, FlowError, ReaderGone
from flowtools.core.lines import MAX_LINE, LineReader, LineWriter
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.toolong import Spill
from flowtools.core.wait import HasFileno, Stop, Wake
from flowtools.pool.backlog import Backlog
from flowtools.pool.control import Control
from flowtools.pool.gathering import BatchPool
from flowtools.pool.inflight import Crew
from flowtools.pool.intake import Intake
from flowtools.pool.keys import Keys
from flowtools.pool.outcome import Outcome
from flowtools.pool.pause import Pause
from flowtools.pool.pool import Pool
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.runner import Runner
from flowtools.pool.series import SeriesPool
from flowtools.pool.settings import Acknowledger, Carrier, Failures, Recorder, Settings
from flowtools.pool.settlement import Settlement
from flowtools.pool.tally import Snapshot
from flowtools.pool.watchdog import Notifier, Watchdog
from flowtools.process.console import say

log = get_log("flowtools.pool")

LEFT = "left"
"""The label for lines that were read, are not done, and are not kept anywhere else."""


class Onward(Carrier, Protocol):
    """Passes duties on and waits for them, as flowtools.ack.relay.Relay does."""

    def wait_until_settled(self, stop: Stop, drain: float, reader: HasFileno) -> None:
        """Wait until the lines are settled, after `stop` for up to `drain` seconds.

        Raises:
            ReaderGone: The reader of the lines has gone.
        """

    def close(self, *, bye: bool) -> None:
        """End, and close the sender of acknowledgements that it uses."""


class Sender(Acknowledger, Protocol):
    """Sends acknowledgements, as flowtools.ack.sender.AckSender does."""

    def see(self, block: bytes) -> None:
        """Note a piece of the input, so that its source learns that its events are taken."""

    def close(self, seconds: float, *, bye: bool) -> None:
        """Send what is left, for up to `seconds`; `bye` tells that everything read is settled."""


class Reopened(Protocol):
    """A file that a log rotation may rename while it is written."""

    def reopen(self) -> None:
        """Continue in a new file of the same name.

        Raises:
            FlowError: The new file cannot be opened; lines still go to the old one.
        """


@dataclass(frozen=True)
class Rest:
    """The treatment of lines that are still in the pipe when a pool ends: they are kept, too.

    Attributes:
        seconds: Seconds to wait for the end of the input.
        ask: Asks a source in this process to end; None: the source is another process, whose lines
            are kept only after a stop, and only if there is a failed file.
    """

    seconds: float
    ask: Callable[[], None] | None = None


@dataclass(frozen=True)
class Input:
    """The input of a pool.

    Attributes:
        fd: The descriptor to read from.
        stop: The request to take no more lines.
        acks: Acknowledges the events; None: nothing is acknowledged.
        rest: The treatment of lines still in the pipe when the pool ends; None: they are left.
        max_line: Maximum length of a line, in bytes; None: that of the command's option.
    """

    fd: int
    stop: Stop
    acks: Sender | None = None
    rest: Rest | None = None
    max_line: int | None = None


@dataclass
class Parts:
    """The optional parts of a pool.

    Attributes:
        recorders: The recorders of each attempt.
        failures: Keeps the lines of events that failed permanently.
        relay: Passes the duty to acknowledge an event on to its results.
        notifier: Talks to the service manager that watches this process.
        keep_order: Whether to write results in the order of the input.
        max_line: Maximum length of an input line, in bytes.
        files: The files to reopen on SIGHUP, after a log rotation.
        spill: Keeps the text of lines that are too long.
        in_series: Whether the runners can run several events in a row.
    """

    recorders: Sequence[Recorder] = ()
    failures: Failures | None = None
    relay: Onward | None = None
    notifier: Notifier | None = None
    keep_order: bool = False
    max_line: int = MAX_LINE
    files: Sequence[Reopened] = ()
    spill: Spill | None = None
    in_series: bool = False


class Work:
    """One run of a pool.

    Args:
        settings: The settings of the pool.
        given: The input.
        writer: Writes the results.
        runners: Makes the runner of each thread.
        parts: The optional parts.
        crew: The threads; given if other code has to ask what runs, otherwise made here.

    Attributes:
        pool, crew, control, pause: The parts of these names; their classes describe them.
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
        self._given = given
        self._parts = parts
        self._writer = writer
        self._dump, self._rotated = Wake(), Wake()
        results = OrderedResults(writer) if parts.keep_order else Results(writer)
        tell = parts.notifier.status if parts.notifier is not None else None
        self.pause = pause = Pause(settings.retry, tell)
        backlog = Backlog(pause, Keys(settings.per_key, settings.key_rate))
        self._settlement = settlement = Settlement(
            results,
            backlog,
            settings,
            control,
            pause,
            recorders=parts.recorders,
            failures=parts.failures,
            acks=given.acks,
            relay=parts.relay,
        )
        see = given.acks.see if given.acks is not None else None
        self._reader = reader = LineReader(
            given.fd,
            given.stop,
            wake=control.leader.fileno(),
            max_line=given.max_line or parts.max_line,
            tee=see,
            spill=parts.spill,
            keep_ends=True,  # Saves a copy of each line. Most lines are not needed once decoded.
        )
        halt = settings.halt
        total = halt.note_total if halt is not None and halt.wants_total else None
        intake = Intake(reader, settlement, see, total)
        one_by_one = SeriesPool if parts.in_series else Pool
        kind = BatchPool if settings.batch else one_by_one
        self.pool = kind(intake, backlog, settlement, results, settings, crew, control, pause)
        self._watchdog = Watchdog(
            crew,
            control,
            settings,
            self.pool,
            runners,
            given.stop,
            bells=((self._dump, self.report), (self._rotated, self._reopen)),
            notifier=parts.notifier,
            out=writer,
        )

    def run(self) -> Counter[str]:
        """Run until the input ends, its `stop` is set, or the pool ends itself.

        Returns the number of events by final outcome; LEFT counts the lines that were read, are
        not done, and are not kept anywhere else.

        Raises:
            FlowError: The error that ended the pool early.
            ReaderGone: The reader of the results has gone.
        """
        with ExitStack() as stack:
            stack.enter_context(_rung_by(signal.SIGUSR1, self._dump))
            if self._parts.files:
                # Without a file to reopen, SIGHUP keeps its default effect.
                stack.enter_context(_rung_by(signal.SIGHUP, self._rotated))
            self._watchdog.run()
        self._dump.close()
        self._rotated.close()
        # Before the acknowledgements end: a line that is not an event is still settled here.
        left = self._keep_what_is_left()
        totals = self.counts()
        totals[LEFT] = left
        self._close_acks()
        # A stuck thread may still ring. If its descriptor were closed, the number could belong to
        # another file by then.
        if self.crew.join():
            self.control.close()
        if self.control.error is not None:
            raise self.control.error
        return totals

    def _keep_what_is_left(self) -> int:
        """Keep the lines that were read and not done; return how many could not be kept."""
        lost = 0
        rest = self._given.rest
        try:
            lost = self._lose(())
            if rest is not None and self._wants(rest):
                if rest.ask is not None:
                    rest.ask()
                for lines in self._reader.rest(rest.seconds):
                    lost += self._lose(lines)
        except (FlowError, ReaderGone) as error:
            self.control.fail(error)
        finally:
            self._reader.close()
        if lost and not isinstance(self.control.error, ReaderGone):
            log.warning(
                "%s read but not processed; --failed FILE would have kept %s",
                counted(lost, "line", "was", "were"),
                "it" if lost == 1 else "them",
            )
        return lost

    def _wants(self, rest: Rest) -> bool:
        return rest.ask is not None or (
            self._given.stop.is_set() and self._parts.failures is not None
        )

    def _lose(self, more: Sequence[bytes]) -> int:
        """Keep the waiting events and `more` lines; return how many could not be kept."""
        return sum(not self._settlement.left_over(each) for each in self.pool.left_over(more))

    def _close_acks(self) -> None:
        """Send the last acknowledgements; send `bye` only if everything that came is settled."""
        acks, relay, stop = self._given.acks, self._parts.relay, self._given.stop
        bye = not (self.control.stopping or stop.is_set())
        if relay is not None:
            # After another error the readers would have to see the end of their input first.
            if self.control.error is None or isinstance(self.control.error, ReaderGone):
                with suppress(ReaderGone):
                    relay.wait_until_settled(stop, self._settings.drain, self._writer)
                bye = not (self.control.stopping or stop.is_set())
            relay.close(bye=bye)
        elif acks is not None:
            acks.close(5.0, bye=bye)

    def counts(self) -> Counter[str]:
        """Return the number of events by final outcome so far; any thread may call this."""
        return self._settlement.totals(self.crew.slots)

    def last_moment(self) -> float | None:
        """Return when the last event came or began (`time.monotonic`); any thread may call this."""
        return max(self._reader.read_at or 0.0, self.crew.last_start()) or None

    def snapshot(self) -> Snapshot:
        """Return the state of the pool; any thread may call this."""
        crew = self.crew
        return Snapshot(
            crew.running(),
            self.pool.queued(),
            self._settings.threads,
            crew.stuck(),
            self.pause.seconds,
        )

    def report(self) -> None:
        """Print the pool's state and every thread's stack to stderr."""
        frames = sys._current_frames()  # noqa: SLF001  documented as for such a use
        now = monotonic()
        totals = self.counts()
        ended = ", ".join(f"{totals[each]} {each}" for each in Outcome if totals[each])
        waiting, stuck = self.pool.queued(), self.crew.stuck()
        ended = ended or "no event has ended"
        rest = f"{counted(waiting, 'event')} waiting; {counted(stuck, 'thread')} abandoned"
        lines = [f"{ended}; {rest}"]
        if self.pause.is_on:
            lines[0] += f"; paused for {self.pause.seconds:.0f} s"
        for slot in [*self.crew.slots, *self.crew.abandoned]:
            flight, thread = slot.flight, slot.thread
            what = f"'{flight.label}' for {now - slot.started:.1f} s" if flight else "idle"
            lines.append(f"thread {thread.ident if thread else '?'}: {what}")
            frame = frames.get(thread.ident or 0) if thread else None
            lines += [row.rstrip() for row in traceback.format_stack(frame)] if frame else []
        # The frames include this one, which is a reference cycle. Without this line they would keep
        # alive the objects that every thread uses at this moment.
        frames.clear()
        for line in "\n".join(lines).split("\n"):
            say(line)

    def _reopen(self) -> None:
        for file in self._parts.files:
            try:
                file.reopen()
            except FlowError as error:
                log.error("%s; still writing to the old file", error)


def check(totals: Counter[str]) -> None:
    """Raise an error if some events failed.

    Raises:
        EventsFailed: Some events failed; its exit status is that of their outcomes.
    """
    bad = [outcome for outcome in Outcome if outcome.status is EventsFailed.status]
    failed = sum(totals[outcome] for outcome in bad)
    if failed:
        total = sum(totals.values()) - totals[LEFT]
        kinds = ", ".join(f"{totals[kind]} {kind}" for kind in bad if totals[kind])
        more = f" ({kinds})" if totals[Outcome.FAILED] < failed else ""
        raise EventsFailed(f"{failed} of {counted(total, 'event')} failed{more}")


@contextmanager
def _rung_by(signum: int, wake: Wake) -> Iterator[None]:
    def handle(signum: int, frame: FrameType | None) -> None:
        wake.ring()

    if threading.current_thread() is not threading.main_thread():
        yield  # In another thread of a program that uses flowtools, signals are not ours.
        return
    previous = signal.signal(signum, handle)
    try:
        yield
    finally:
        signal.signal(signum, previous)
