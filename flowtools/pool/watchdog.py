"""The watchdog of a pool: every deadline, every signal, every stuck thread.

It runs in the thread that called `run`, which is the one that starts the pool's worker
threads, and returns when they have ended. It never joins an abandoned thread.
"""

import select
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Protocol

from flowtools.core.errors import FlowError, InternalError, ReaderGone, ReaderStalled
from flowtools.core.log import get_log
from flowtools.core.wait import HasFileno, Stop, Wake, poll_time
from flowtools.pool.outcome import Outcome
from flowtools.pool.pool import Pool
from flowtools.pool.runner import Runner
from flowtools.pool.slot import Claim, Slot
from flowtools.process.console import say

SETTLED = 1.0
"""Seconds that a thread has to settle an attempt that has been cancelled."""

log = get_log("flowtools.pool")


class Notifier(Protocol):
    """The service manager that wants to hear from us regularly."""

    watchdog_interval: float | None
    """Seconds after which it takes silence for a hang; None: it does not watch."""

    def ping(self) -> None:
        """Say that all is well."""


class Reopened(Protocol):
    """A file that others may rename while it is written."""

    def reopen(self) -> None:
        """Go on in a new file of the same name.

        Raises:
            FlowError: It cannot be opened; what is written still goes to the old one.
        """


class Watchdog:
    """Starts the threads of `pool`, holds their deadlines, and replaces the stuck ones.

    Args:
        pool: The pool.
        runners: Makes a runner for each thread.
        stop: Asks the pool to drain.
        dump: Rung when `report` is wanted.
        rotated: Rung when the `files` are to be reopened.
        notifier: Is pinged unless every thread hangs in settling.
    """

    def __init__(
        self,
        pool: Pool,
        runners: Callable[[], Runner],
        stop: Stop,
        *,
        dump: Wake | None = None,
        rotated: Wake | None = None,
        files: Sequence[Reopened] = (),
        notifier: Notifier | None = None,
        out: HasFileno | None = None,
    ) -> None:
        self._out = out
        self.abandoned: list[Slot] = []
        self._pool = pool
        self._runners = runners
        self._stop = stop
        self._dump = dump
        self._rotated = rotated
        self._files = files
        self._notifier = notifier
        self._drain_until = inf
        self._has_drained = False
        self._leave_at = inf
        self._next_ping = 0.0 if notifier and notifier.watchdog_interval else inf
        self._poller = select.poll()
        for each in (stop, pool.watch, dump, rotated):
            if each is not None:
                self._poller.register(each.fileno(), select.POLLIN)
        if out is not None:
            self._poller.register(out.fileno(), 0)  # POLLERR comes unasked.

    def run(self) -> None:
        """Run the pool to its end; what it ends with is `pool.error`."""
        slots = self._pool.slots
        slots += (Slot(self._runners()) for _ in range(self._pool.settings.threads))
        for slot in slots:
            self._start(slot)
        while self._pool.serving and not self._leaves():
            self._wait()
            self._look_for_an_end()
            self._expire()
            self._ping()
        self._close_runners()

    def _close_runners(self) -> None:
        for slot in self._pool.slots:
            slot.runner.release()
        for slot in self._pool.slots:
            try:
                slot.runner.close()
            except FlowError as error:
                log.error("%s", error)
                self._pool.fail(error)

    def _start(self, slot: Slot, inherited: Claim | None = None) -> None:
        # Daemons: a stuck one must not keep the process from ending.
        slot.thread = threading.Thread(
            target=self._pool.work, args=(slot, inherited), name="flow-work", daemon=True
        )
        try:
            slot.thread.start()
        except RuntimeError as error:
            slot.ended = True
            self._pool.fail(InternalError(f"cannot start a thread: {error}"))
            self._pool.note_end()

    def _wait(self) -> None:
        # A millisecond more, for poll(2) counts in whole ones.
        seconds = self._next_event() - monotonic() + 0.001
        ready = dict(self._poller.poll(poll_time(None if seconds == inf else seconds)))
        self._pool.watch.clear()
        if self._dump is not None and self._dump.fileno() in ready:
            self._dump.clear()
            self.report()
        if self._rotated is not None and self._rotated.fileno() in ready:
            self._rotated.clear()
            self._reopen()
        if self._out is not None and ready.get(self._out.fileno(), 0) & select.POLLERR:
            self._poller.unregister(self._out.fileno())
            self._pool.fail(ReaderGone())
        if self._stop.fileno() in ready:
            self._poller.unregister(self._stop.fileno())
            self._drain_until = monotonic() + self._pool.settings.drain
            self._pool.end()

    def _next_event(self) -> float:
        """Return the earliest time at which there is something to do.

        An attempt that starts after this look has its deadline no earlier than one
        time-out from now, so nobody needs to tell the watchdog of a start. Only where it
        has found the pool idle twice, a time-out apart and without a word between, it
        sleeps for good, and is told.
        """
        settings, pool = self._pool.settings, self._pool
        idle = pool.is_idle()
        next_start = inf if idle and pool.dozing else monotonic() + (settings.timeout or inf)
        pool.dozing = idle
        earliest = min(next_start, self._drain_until, self._leave_at, self._next_ping)
        for slot in self._pool.slots:
            claim, token = slot.claim, slot.token
            if claim is not None:
                earliest = min(earliest, claim.at + settings.grace)
            elif token is not None:
                earliest = min(earliest, token)
        return earliest

    def _look_for_an_end(self) -> None:
        pool = self._pool
        if pool.error is not None and self._drain_until == inf and not self._has_drained:
            self._drain_until = monotonic() + pool.settings.drain
        if monotonic() >= self._drain_until:
            self._drain_until = inf
            self._has_drained = True
            self._leave_at = monotonic() + pool.settings.grace + SETTLED
            pool.end(cancel=True)

    def _leaves(self) -> bool:
        """Leave threads behind that cannot write what they have, for the pool has to end.

        A thread that runs the Worker is none of them: it is claimed, and replaced in the end.
        """
        left = [slot for slot in self._pool.slots if not slot.ended]
        if monotonic() < self._leave_at or any(slot.token or slot.claim for slot in left):
            return False
        for slot in left:
            if (job := slot.job) is not None:
                self._pool.backlog.delay(job, 0.0)  # Half settled: kept with what was not tried.
        self.abandoned += left
        self._pool.fail(ReaderStalled(len(left)))
        return True

    def _expire(self) -> None:
        now = monotonic()
        for index, slot in enumerate(self._pool.slots):
            claim, token = slot.claim, slot.token
            if claim is not None:
                if now - claim.at >= self._pool.settings.grace:
                    self._abandon(index, slot, claim)
                continue
            if token is not None and (token <= now or self._pool.cancels):
                self._claim(slot, token, now)

    def _claim(self, slot: Slot, token: float, now: float) -> None:
        claim = Claim(Outcome.TIMEOUT if token <= now else Outcome.CANCELLED, now)
        if not slot.put(claim, token):
            return  # The thread was quicker: the attempt has ended.
        assert slot.event is not None
        assert slot.thread is not None
        slot.event.cancel()
        slot.runner.interrupt(slot.thread, slot.started)
        claim.interrupted = True

    def _abandon(self, index: int, slot: Slot, claim: Claim) -> None:
        if not claim.is_mine():
            return  # It has ended after all.
        job = slot.job
        assert job is not None
        log.warning(
            "a thread is stuck in event '%s' and has been replaced",
            job.label,
        )
        self.abandoned = [each for each in self.abandoned if not each.ended] + [slot]
        replacement = Slot(self._runners())
        replacement.running, replacement.attributes = slot.running, slot.attributes
        replacement.is_busy, replacement.started = True, slot.started
        replacement.done, slot.done = slot.done, 0
        self._pool.slots[index] = replacement
        self._start(replacement, claim)
        limit = self._pool.settings.most_abandoned
        if len(self.abandoned) >= limit and self._pool.error is None:
            self._pool.fail(
                InternalError(
                    f"{len(self.abandoned)} threads are stuck in the Worker (--max-abandoned"
                    f" {limit}); ending, so that a fresh process can go on"
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
        # This loop replaces stuck threads, so only settling can hang: stdout, a full disk.
        limit = self._pool.settings.grace + 1
        return all(
            slot.running is not None and slot.token is None and now - slot.started > limit
            for slot in self._pool.slots
        )

    def _reopen(self) -> None:
        for file in self._files:
            try:
                file.reopen()
            except FlowError as error:
                log.error("%s; what comes still goes to the old file", error)

    def report(self) -> None:
        """Print the pool's state and every thread's stack to stderr."""
        frames = sys._current_frames()  # noqa: SLF001  documented as for such a use
        now = monotonic()
        totals = self._pool.settlement.totals(self._pool.slots)
        counted = ", ".join(f"{totals[each]} {each}" for each in Outcome if totals[each])
        lines = [
            (
                f"{counted or 'no event has ended'}; {self._pool.queued()} events waiting;"
                f" {sum(not slot.ended for slot in self.abandoned)} threads abandoned"
            )
        ]
        for slot in [*self._pool.slots, *self.abandoned]:
            job, thread = slot.job, slot.thread
            what = f"'{job.label}' for {now - slot.started:.1f} s" if job else "idle"
            lines.append(f"thread {thread.ident if thread else '?'}: {what}")
            frame = frames.get(thread.ident or 0) if thread else None
            lines += [row.rstrip() for row in traceback.format_stack(frame)] if frame else []
        # Our own is among them, a circle: they would keep what each thread has in hand just now.
        frames.clear()
        for line in "\n".join(lines).split("\n"):
            say(line)
