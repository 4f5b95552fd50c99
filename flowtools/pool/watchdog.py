"""The watchdog of a pool: handles deadlines, signals and stuck threads.

It runs in the thread that calls `run`. That starts the worker threads and returns when they have
ended. In between it waits in one poll(2) for the next deadline, a signal, or the end of the reader.
After its deadline an attempt is claimed and its thread is interrupted with TimeLimit. If the thread
has still not ended after `grace`, it is abandoned and replaced, and never joined. How the claim
races with the end of the attempt is explained in inflight.py.

Nothing here may block, or no time-out would be enforced any more.
"""

import threading
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Protocol

from flowtools.core.errors import FlowError, InternalError, ReaderGone, ReaderStalled
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import HasFileno, Stop, Wake, wait
from flowtools.pool.control import Control
from flowtools.pool.inflight import Claim, Crew, Slot
from flowtools.pool.outcome import Outcome
from flowtools.pool.pool import Pool
from flowtools.pool.runner import Runner
from flowtools.pool.settings import Settings

SETTLED = 1.0
"""Seconds for a thread to settle an attempt that has been cancelled."""

STARTS = 100
"""Number of attempts to start a thread. One fails if, at that moment, a Worker that runs in another
thread sets a trace function for all threads, and that raises."""

_A_MOMENT = 0.0002
"""Seconds to wait for a thread to begin, before looking again."""

SIGNAL_ARRIVES = 0.25
"""Seconds for which to wait for a signal after the reader has gone. A signal goes to every process
of a pipeline, and idle ones end first. Running events must then get their time to drain, and not be
cancelled just because the reader was quicker."""

log = get_log("flowtools.pool")


class Notifier(Protocol):
    """Talks to the service manager, which expects a ping regularly."""

    watchdog_interval: float | None
    """Seconds without a ping after which the service counts as hung; None: no watchdog."""

    def ping(self) -> None:
        """Tell that the service is alive."""

    def status(self, text: str) -> None:
        """Send the state in one line."""


class Watchdog:
    """Starts the threads of a pool, enforces their deadlines, and replaces stuck ones.

    Args:
        crew: The threads and their slots.
        control: Tells whether the pool has to end.
        settings: The settings of the pool.
        pool: The code that the threads run.
        runners: Makes a runner for each thread.
        stop: The request to drain.
        bells: Functions to call when a Wake is rung.
        notifier: The service manager, pinged unless every thread hangs in settling.
        out: The output; the end of its reader is noticed at once.
    """

    def __init__(
        self,
        crew: Crew,
        control: Control,
        settings: Settings,
        pool: Pool,
        runners: Callable[[], Runner],
        stop: Stop,
        *,
        bells: Sequence[tuple[Wake, Callable[[], None]]] = (),
        notifier: Notifier | None = None,
        out: HasFileno | None = None,
    ) -> None:
        self._crew = crew
        self._control = control
        self._settings = settings
        self._pool = pool
        self._runners = runners
        self._stop: Stop | None = stop
        self._bells = bells
        self._notifier = notifier
        self._out = out
        self._drain_until = inf
        self._has_drained = False
        self._leave_at = inf
        self._gone_at = inf
        self._next_ping = 0.0 if notifier and notifier.watchdog_interval else inf

    def run(self) -> None:
        """Run the pool to its end; afterwards `control.error` holds the error, if there was one."""
        self._crew.man([Slot(self._runners()) for _ in range(self._settings.threads)])
        for slot in self._crew.slots:
            self._start(slot)
        while self._crew.serving and not self._leaves():
            self._wait()
            self._look_for_an_end()
            self._expire()
            self._ping()
        self._close_runners()

    def _close_runners(self) -> None:
        # All begin before the first one is awaited, so that they clean up at the same time.
        for slot in self._crew.slots:
            slot.runner.release()
        for slot in self._crew.slots:
            try:
                slot.runner.close()
            except FlowError as error:
                log.error("%s", error)
                self._control.fail(error)

    def _start(self, slot: Slot, inherited: Claim | None = None) -> None:
        try:
            for _ in range(STARTS):
                # Daemon threads: a stuck one must not keep the process from ending.
                slot.thread = threading.Thread(
                    target=self._pool.work, args=(slot, inherited), name="flow-work", daemon=True
                )
                start_thread(slot.thread)
                # No signal from the thread: a trace function may end it before its first line, and
                # any call in it, such as setting an event, is a place where a profile function may
                # raise. Storing an attribute is not.
                while not slot.has_begun and slot.thread.is_alive():
                    slot.thread.join(_A_MOMENT)  # Lets the thread run.
                if slot.has_begun:
                    return
            raise RuntimeError("a trace function of the Worker's ends it")
        except RuntimeError as error:
            slot.ended = True
            self._control.fail(InternalError(f"cannot start a thread: {error}"))
            self._crew.note_end()

    def _wait(self) -> None:
        # A millisecond more, since poll(2) counts whole milliseconds and might return too early.
        seconds = self._next_event() - monotonic() + 0.001
        awaited: list[Wake | Stop] = [self._control.watchdog, *(bell for bell, _ in self._bells)]
        if self._stop is not None:
            awaited.append(self._stop)
        ready = wait(*awaited, gone=self._out, seconds=None if seconds == inf else seconds)
        self._control.watchdog.clear()
        for bell, answer in self._bells:
            if bell.fileno() in ready:
                bell.clear()
                answer()
        if self._out is not None and self._out.fileno() in ready:
            self._out = None
            self._gone_at = monotonic() + SIGNAL_ARRIVES
        if self._stop is not None and self._stop.fileno() in ready:
            self._stop = None  # It stays readable and would end every further wait at once.
            self._drain_until = monotonic() + self._settings.drain
            self._control.drains = True
            self._control.end()
            self._gone_at = inf  # The reader got the signal, too; only writing results matters.

    def _next_event(self) -> float:
        """Return the earliest time at which there is something to do.

        An attempt that starts after this call has its deadline at least one time-out from now. So
        a start does not have to wake the watchdog. Only if the pool was idle at two calls, a
        time-out apart and without a start in between, the watchdog sleeps without a time limit.
        Then `control.dozing` is set, and the next start wakes it.
        """
        settings, control = self._settings, self._control
        idle = self._pool.is_idle()
        next_start = inf if idle and control.dozing else monotonic() + (settings.timeout or inf)
        control.dozing = idle
        earliest = min(
            next_start, self._drain_until, self._leave_at, self._gone_at, self._next_ping
        )
        for slot in self._crew.slots:
            claim, deadline = slot.claim, slot.deadline
            if claim is not None:
                earliest = min(earliest, claim.at + settings.grace)
            elif deadline is not None:
                earliest = min(earliest, deadline)
        return earliest

    def _look_for_an_end(self) -> None:
        control = self._control
        if monotonic() >= self._gone_at:
            self._gone_at = inf
            control.fail(ReaderGone(), cancel=False)
        if control.error is not None and self._drain_until == inf and not self._has_drained:
            self._drain_until = monotonic() + self._settings.drain
        if monotonic() >= self._drain_until:
            self._drain_until = inf
            self._has_drained = True
            self._leave_at = monotonic() + self._settings.grace + SETTLED
            control.end(cancel=True)

    def _leaves(self) -> bool:
        """Abandon threads that cannot write their results, since the pool has to end.

        Threads that run the Worker do not count: they are claimed, and replaced if necessary.
        """
        left = [slot for slot in self._crew.slots if not slot.ended]
        if monotonic() < self._leave_at or any(slot.deadline or slot.claim for slot in left):
            return False
        for slot in left:
            self._pool.put_back(slot)
        self._crew.abandoned += left
        self._control.fail(ReaderStalled(len(left)))
        return True

    def _expire(self) -> None:
        now = monotonic()
        for index, slot in enumerate(self._crew.slots):
            claim, deadline = slot.claim, slot.deadline
            if claim is not None:
                if now - claim.at >= self._settings.grace:
                    self._abandon(index, slot, claim)
                continue
            if deadline is not None and (deadline <= now or self._control.cancels):
                self._claim(slot, deadline, now)

    def _claim(self, slot: Slot, deadline: float, now: float) -> None:
        claim = Claim(Outcome.TIMEOUT if deadline <= now else Outcome.CANCELLED, now)
        if not slot.put(claim, deadline):
            return  # The attempt ended before the claim.
        assert slot.event is not None
        assert slot.thread is not None
        slot.event.cancel()
        slot.runner.interrupt(slot.thread, slot.started)
        claim.interrupted = True  # Last: the thread waits for this, and then expects TimeLimit.

    def _abandon(self, index: int, slot: Slot, claim: Claim) -> None:
        if not claim.is_mine():
            return  # The attempt has ended after all, and its thread settles it.
        flight = slot.flight
        assert flight is not None
        log.warning(
            "a thread is stuck in event '%s' and has been replaced",
            flight.label,
        )
        self._crew.abandoned = [each for each in self._crew.abandoned if not each.ended] + [slot]
        replacement = Slot(self._runners())
        replacement.in_flight = slot.in_flight
        replacement.is_busy, replacement.started = True, slot.started
        replacement.done, slot.done = slot.done, 0  # Moved: the totals include the crew's slots.
        self._crew.slots[index] = replacement
        self._start(replacement, claim)
        limit = self._settings.most_abandoned
        abandoned = len(self._crew.abandoned)
        if abandoned >= limit and self._control.error is None:
            self._control.fail(
                InternalError(
                    f"{counted(abandoned, 'thread', 'is', 'are')} stuck in the Worker"
                    f" (--max-abandoned {limit}); ending, so that a new process can continue"
                )
            )

    def _ping(self) -> None:
        notifier, now = self._notifier, monotonic()
        if notifier is None or now < self._next_ping:
            return
        assert notifier.watchdog_interval is not None
        self._next_ping = now + notifier.watchdog_interval / 2
        if not self._is_wedged(now):
            notifier.ping()

    def _is_wedged(self, now: float) -> bool:
        # Threads stuck in the Worker are replaced, so that only settling can hang: stdout, a disk.
        limit = self._settings.grace + 1
        return all(
            slot.in_flight is not None and slot.deadline is None and now - slot.started > limit
            for slot in self._crew.slots
        )
