"""The pool: threads that take lines themselves and run a Worker on each, within time-outs.

Leader and followers: whichever thread finds the buffer of lines empty reads the next
block of input; the others wait behind it. An event so costs no hand-over between threads.

Threads and their owners: `Pool.run` starts the worker threads and stays in its own
thread as their watchdog (watchdog.py) until the last has ended. A worker thread that is
stuck beyond its time-out and grace is abandoned and replaced; nobody joins it.

Who decides what became of an attempt is settled without a lock: each attempt has a
one-element list, its token, and whoever pops it decides. The thread pops it when `start`
has returned, the watchdog when the time is up.
"""

import threading
from collections import deque
from math import inf
from time import monotonic, sleep
from typing import Any

from flowtools.backlog import Backlog, Job
from flowtools.errors import ReaderGone
from flowtools.event import EventError, decode_all, long_digits
from flowtools.lines import LineReader, TooLong
from flowtools.results import OrderedResults, Results
from flowtools.runner import RunnerBroken
from flowtools.settings import Pace, Settings
from flowtools.settlement import Settlement
from flowtools.slot import Claim, Slot, Taken
from flowtools.stop import Stop
from flowtools.wake import Wake
from flowtools.worker import TimeLimit


class Pool:
    """Runs a Worker over the lines of a reader.

    Args:
        reader: Where the lines come from; only the leading thread touches it.
        results: Where returned lines go; tells when too many wait for an earlier one.
        backlog: Where events wait inside the pool.
        settlement: Settles what became of each event.
        settings: See Settings.
        wake: Ends the reader's wait, too.

    Attributes:
        slots: One for each thread of the pool's width.
        serving: Threads that have not ended; a stuck one counts once, with who replaced it.
        error: What ended the pool early.
        stopping: No further event is taken.
        ending: The same, to wait for.
        cancels: Running events are to be cancelled, too.
        dozing: The watchdog wants a word through `watch` when events come again.
        watch: Ends the watchdog's wait.
    """

    def __init__(
        self,
        reader: LineReader,
        results: Results,
        backlog: Backlog,
        settlement: Settlement,
        settings: Settings,
        *,
        wake: Wake,
    ) -> None:
        self.settings = settings
        self.settlement = settlement
        self.backlog = backlog
        self.slots: list[Slot] = []
        self.error: Exception | None = None
        self.stopping = False
        self.ending = Stop()
        self.cancels = False
        self.dozing = False
        self.watch = Wake()
        settlement.end, settlement.fail = self.end, self.fail
        self._reader = reader
        self._results = results
        self._wake = wake
        self._events: deque[Taken] = deque()
        self._number = 0
        self._input_ended = False
        self._is_over = False
        self._is_reading = False
        self._leader = threading.Lock()
        self._leader_sleeps = False
        self._counting = threading.Lock()
        self.serving = settings.threads
        self._is_ordered = isinstance(results, OrderedResults)
        self._chooses = bool(settings.key or settings.done or settings.pace or self._is_ordered)

    # What follows runs in the worker threads.

    def work(self, slot: Slot, inherited: Claim | None = None) -> None:
        """Serve events until there are no more: the body of a worker thread.

        `inherited` is the verdict on the attempt that an abandoned thread left unsettled.
        """
        try:
            if inherited is not None:
                self._settle_claim(slot, inherited)
            while self._serve_until_claimed(slot):
                claim = slot.claim
                if claim is None:
                    continue
                if not _pop(claim.settler):
                    slot.ended = True
                    return  # Abandoned: another thread has this place now.
                slot.claim = None
                self._settle_claim(slot, claim)
        except RunnerBroken as broken:
            self.fail(broken.error)
        except Exception as error:  # noqa: BLE001  the top of a thread
            self.fail(error)
            if (job := slot.job) is not None:
                # Half settled: it is kept with what was not tried, or comes again.
                self.backlog.delay(job, 0.0)
        slot.ended = True
        self.note_end()

    def _serve_until_claimed(self, slot: Slot) -> bool:
        """Serve; return False at the end, True when the watchdog has claimed an attempt.

        The watchdog's TimeLimit may come between any two bytecodes; until it has come,
        everything stays inside the outer try.
        """
        try:
            try:
                if not self._serve(slot):
                    return False
            except TimeLimit as limit:
                if _pop(slot.token):  # Not the watchdog's: the Worker raised it itself.
                    self._settle(slot, [], limit)
                    return True
            while slot.claim is None or not slot.claim.interrupted:
                sleep(0.0005)
            for _ in range(1000):  # A pending exception comes at a backward jump.
                pass
        except TimeLimit:
            return True
        return True

    def _serve(self, slot: Slot) -> bool:  # noqa: C901  the inner loop: a call costs every event
        """Take events and run them. False: no more; True: the token was gone after `start`."""
        backlog = self.backlog
        popleft = self._events.popleft
        runner = slot.runner
        start, prepare = runner.start, runner.prepare
        timeout = self.settings.timeout or inf
        plain = self.settlement.is_plain
        keyed = self.settings.key is not None
        while not self.stopping:
            taken: Taken | Job
            if prepare is not None:
                prepare()
            try:
                taken = self._choose() if self._chooses or backlog.held else popleft()
            except IndexError:
                if self._wait_for_work():
                    continue
                return False
            slot.running = taken
            event = taken[0]
            slot.started = now = monotonic()
            event.deadline = deadline = now + timeout
            slot.token = token = [deadline]
            failure = lines = None
            try:
                returned = start(event)
                if returned is not None:
                    lines = runner.lines(event, returned)
            except TimeLimit:
                raise
            except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
                failure = error
            try:
                token.pop()
            except IndexError:
                return True
            if failure is None and lines is None and plain and "ackto" not in event.attributes:
                slot.done += 1
                slot.running = None
                if keyed:
                    self._leave(taken)
            else:
                self._settle(slot, lines or [], failure)
        return False

    def _choose(self) -> Job:
        """Return the next event that may run, from the backlog or the input.

        Raises:
            IndexError: There is none now.
        """
        job = self.backlog.take()
        if self._leader_sleeps:
            self.wake()  # It may be time to read on.
        while job is None:
            if self._is_gated():
                raise IndexError
            job = Job(*self._events.popleft())
            if not self._admit(job):
                job = None
        if self.settings.pace is not None and not self._wait_for_pace(self.settings.pace, job):
            raise IndexError
        return job

    def _leave(self, taken: Taken | Job) -> None:
        if isinstance(taken, Job) and taken.key is not None:
            self.backlog.leave(taken.key)

    def _admit(self, job: Job) -> bool:
        """Return whether `job` may start now: it is not done yet, and it is its key's turn."""
        settings = self.settings
        if settings.done and job.event.id in settings.done:
            self.settlement.skipped(job)
            return False
        if settings.key is not None:
            key = settings.key(job.event)
            if key is not None:
                job.key = key
                return self.backlog.enter(job, key)
        return True

    def _wait_for_pace(self, pace: Pace, job: Job) -> bool:
        seconds = pace.wait_time(monotonic())
        if seconds > 0 and self.ending.wait(seconds):
            self.backlog.delay(job, 0.0)  # Not started; whoever drains finds it there.
            return False
        return True

    def _settle(self, slot: Slot, lines: list[bytes], failure: BaseException | None) -> None:
        job = slot.job
        assert job is not None
        waits = False
        if failure is None:
            self.settlement.done(job, slot.started, lines)
        else:
            waits = self.settlement.failed(job, slot.started, failure)
        self._vacate(slot, waits)

    def _settle_claim(self, slot: Slot, claim: Claim) -> None:
        job = slot.job
        assert job is not None
        waits = False
        if claim.verdict == "cancelled":
            self.settlement.cancelled(job)
        else:
            waits = self.settlement.timed_out(job, slot.started)
        self._vacate(slot, waits)

    def _vacate(self, slot: Slot, waits: bool) -> None:
        slot.running = None
        if waits or self._leader_sleeps:
            self.wake()  # The leader must learn when the next attempt is due.

    def _is_gated(self) -> bool:
        return self.backlog.is_full or self._results.is_full

    def _wait_for_work(self) -> bool:
        """Wait until there may be something to take; False: nothing will come any more."""
        if not self._leader.acquire(blocking=False):
            if self._leader_sleeps and self._has_news():
                self.wake()
            self._leader.acquire()
        try:
            if self._is_over or self.stopping or not self._lead():
                return False
        finally:
            self._leader.release()
        if self.dozing:
            self.dozing = False
            self.watch.ring()
        return True

    def _lead(self) -> bool:
        gated = self._is_gated()
        if self._events and not gated:
            return True
        due = self.backlog.next_due()
        seconds = None if due is None else due - monotonic()
        if seconds is not None and seconds <= 0:
            return True
        if not (self._input_ended or gated):
            self._read(seconds)
            return True
        # From here on another thread must wake this one; so first say that it sleeps,
        # then look whether there is anything to sleep for.
        self._leader_sleeps = True
        try:
            if not (self.backlog.held or self._events or self._is_busy()):
                self._is_over = True
                return False
            if gated and not self._is_gated():
                return True
            self._wake.wait(seconds)
        finally:
            self._leader_sleeps = False
        self._wake.clear()
        return True

    def _has_news(self) -> bool:
        """Return whether a sleeping leader has something to do, as far as this thread can tell."""
        if self.backlog.held or self._events or not self._is_busy():
            return True
        return not (self._input_ended or self._is_gated())

    def _is_busy(self) -> bool:
        # The last to start are the last to end: from there a busy one is found soonest.
        return any(slot.running is not None for slot in reversed(self.slots))

    def _read(self, seconds: float | None) -> None:
        self._is_reading = True
        block = self._reader.read(seconds)
        self._is_reading = False
        if block is None:
            self._input_ended = True
            return
        if not block:
            self._wake.clear()
            return
        first = self._number + 1
        self._number += len(block)
        # One look at the whole block is far cheaper than one at each line.
        whole = b"\n".join(block)
        checked = not long_digits(whole)
        self._events.extend(decode_all(block, first, monotonic(), self._refuse, checked))

    def _refuse(self, line: bytes, number: int, error: EventError) -> None:
        if isinstance(line, TooLong):
            error = EventError("longer than --max-line allows")
        if line.strip():
            self.settlement.invalid(number, line, error)
        else:
            self.settlement.empty(number)

    # Called from any thread.

    def note_end(self) -> None:
        """Count one thread less; the last one ends the watchdog's wait."""
        with self._counting:
            self.serving -= 1
            is_last = not self.serving
        self.wake()
        if is_last:
            self.watch.ring()

    def wake(self) -> None:
        """End the leader's wait."""
        self._wake.ring()

    def end(self, *, cancel: bool = False) -> None:
        """Take no further event; `cancel` the running ones, too."""
        self.cancels = self.cancels or cancel
        self.stopping = True
        self.ending.set()
        self.wake()
        self.watch.ring()

    def is_idle(self) -> bool:
        """Return whether no event runs and the leader waits for input."""
        return self._is_reading and not self._events and not self._is_busy()

    def queued(self) -> int:
        """Return how many events have been read and wait."""
        return len(self._events) + self.backlog.held

    def left_over(self) -> list[Job]:
        """Return what was read and not done, in input order; called once the threads ended."""
        left = [*self.backlog.drain(), *(Job(*taken) for taken in self._events)]
        self._events.clear()
        return sorted(left, key=lambda job: job.number)

    def fail(self, error: Exception) -> None:
        """Take no further event, and end with `error` (the first one counts)."""
        if self.error is None:
            self.error = error
        self.end(cancel=isinstance(error, ReaderGone))


def _pop(token: list[Any]) -> bool:
    """Return whether this thread is the one that pops the only element of `token`."""
    try:
        token.pop()
    except IndexError:
        return False
    return True
