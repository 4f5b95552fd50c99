"""The pool: threads that take lines themselves and run a Worker on each, within time-outs.

Leader and followers: whichever thread finds the buffer of lines empty reads the next
block of input; the others wait behind it. An event so costs no hand-over between threads.

Threads and their owners: `Watchdog.run` starts the worker threads and stays in its own
thread as their watchdog (watchdog.py) until the last has ended. A worker thread that is
stuck beyond its time-out and grace is abandoned and replaced; nobody joins it.

slot.py says who decides what became of an attempt.
"""

import threading
from collections.abc import Sequence
from math import inf
from time import monotonic, sleep
from typing import Any

from flowtools.core.errors import ReaderGone
from flowtools.core.event import ReadEvent, usual
from flowtools.core.lines import LineReader
from flowtools.core.wait import Stop, Wake
from flowtools.pool.backlog import Backlog, Job
from flowtools.pool.intake import Intake
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.runner import RunnerBroken
from flowtools.pool.settings import Pace, Settings
from flowtools.pool.settlement import Settlement
from flowtools.pool.slot import Claim, Line, Slot
from flowtools.worker.exceptions import TimeLimit


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
        self._results = results
        self._wake = wake
        self._intake = Intake(reader, settlement)
        self._is_over = False
        self._leader = threading.Lock()
        self._leader_sleeps = False
        self._counting = threading.Lock()
        self.serving = settings.threads
        self._taking = threading.Lock()
        # A single thread keeps every order by itself, but for what waits for a retry.
        keyed = settings.key is not None and settings.threads > 1
        ordered = isinstance(results, OrderedResults)
        self._chooses = bool(keyed or settings.done or settings.pace or ordered)

    # What follows runs in the worker threads.

    def work(self, slot: Slot, inherited: Claim | None = None) -> None:
        """Serve events until there are no more: the body of a worker thread.

        `inherited` is the verdict on the attempt that an abandoned thread left unsettled.
        """
        try:
            if inherited is not None:
                self._settle_claim(slot, inherited)
            slot.is_busy = True
            while self._serve_until_claimed(slot):
                claim = slot.claim
                if claim is None:
                    continue
                if not claim.is_mine():
                    slot.is_busy, slot.ended = False, True
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
        slot.is_busy, slot.ended = False, True
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
            except TimeLimit:
                slot.token = None
                if not slot.is_claimed():  # Not the watchdog's: the Worker raised it itself.
                    self._settle(slot, [], Failure(Outcome.FAILED, "the Worker raised TimeLimit"))
                    return True
            while slot.claim is None or not slot.claim.interrupted:
                sleep(0.0005)
            for _ in range(1000):  # A pending exception comes at a backward jump.
                pass
        except TimeLimit:
            return True
        return True

    def _serve(self, slot: Slot) -> bool:  # noqa: C901  the inner loop: a call costs every event
        """Take events and run them. False: no more; True: the attempt was claimed."""
        backlog, intake = self.backlog, self._intake
        chooses, popleft = self._chooses, intake.lines.popleft
        runner, timeout = slot.runner, self.settings.timeout or inf
        start, prepare = runner.start, runner.prepare
        is_plain, note = self.settlement.is_plain, self.settlement.note
        taken: Line | Job
        attributes: dict[str, Any] | None
        while not self.stopping:
            if prepare is not None and (pause := prepare(self.ending)):
                if not self._wait_for_runner(slot, pause):
                    return False
                continue
            try:
                if chooses or backlog.held:
                    taken = job = self._choose()
                    attributes = job.event.attributes
                else:
                    taken = line = popleft()
                    job = None
                    attributes = usual(line[1]) or intake.examined(line)
                    if attributes is None:
                        continue
            except IndexError:
                slot.is_busy = False
                if self._wait_for_work(slot):
                    continue
                return False
            slot.event = event = ReadEvent()
            # A copy: whatever the Worker does to it, the pool knows which event this is.
            event.attributes = attributes.copy()
            slot.attributes = attributes
            slot.running = taken
            slot.started = now = monotonic()
            event.deadline = slot.token = now + timeout
            failure = lines = None
            try:
                returned = start(event)
                if returned is not None:
                    lines = runner.lines(event, returned)
            except TimeLimit:
                raise
            except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
                failure = runner.failure(error)
            slot.token = None
            if slot.claim is not None and slot.is_claimed():
                return True
            if is_plain and failure is None and lines is None and "ackto" not in attributes:
                if note is not None:
                    event.attributes = attributes
                    note(event, taken, now)
                slot.done += 1
                slot.running = None
                if job is not None:
                    self._leave(job)
            else:
                self._settle(slot, lines or [], failure)
        return False

    def _choose(self) -> Job:
        """Return the next event that may run, from the backlog or the input.

        Raises:
            IndexError: There is none now.
        """
        job = None
        while job is None:
            job = self._take()
            if self._leader_sleeps:
                self.wake()  # It may be time to read on.
        if self.settings.pace is not None and not self._wait_for_pace(self.settings.pace, job):
            raise IndexError
        return job

    def _take(self) -> Job | None:
        """Return an event that may run, or None where a line was none, or was not to run.

        Raises:
            IndexError: There is none now.
        """
        settings = self.settings
        with self._taking:  # Between a line and its key's turn no other line may come.
            job = self.backlog.take()
            if job is not None:
                return job
            if self._is_gated():
                raise IndexError
            job = self._intake.job(self._intake.lines.popleft())
            is_done = job is not None and job.event.id in settings.done
            if job is not None and not is_done and settings.key is not None:
                job.key = settings.key(job.event)
                if job.key is not None and not self.backlog.enter(job, job.key):
                    return None
        if job is not None and is_done:
            self.settlement.skipped(job)
            return None
        return job

    def _leave(self, job: Job) -> None:
        if job.key is not None:
            self.backlog.leave(job.key)

    def _wait_for_pace(self, pace: Pace, job: Job) -> bool:
        seconds = pace.wait_time(monotonic())
        if seconds > 0 and self.ending.wait(seconds):
            self.backlog.delay(job, 0.0)  # Not started; whoever drains finds it there.
            return False
        return True

    def _settle(self, slot: Slot, lines: list[bytes], failure: Failure | None) -> None:
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
        if claim.verdict is Outcome.CANCELLED:
            self.settlement.cancelled(job)
        else:
            text = f"not done within {self.settings.timeout:g} s"
            waits = self.settlement.failed(job, slot.started, Failure(claim.verdict, text))
        self._vacate(slot, waits)

    def _vacate(self, slot: Slot, waits: bool) -> None:
        slot.running = None
        if waits or self._leader_sleeps:
            self.wake()  # The leader must learn when the next attempt is due.

    def _is_gated(self) -> bool:
        return self.backlog.is_full or self._results.is_full

    def _wait_for_work(self, slot: Slot) -> bool:
        """Wait until there may be something to take; False: nothing will come any more."""
        if not self._leader.acquire(blocking=False):
            if self._leader_sleeps and self._has_news():
                self.wake()
            self._leader.acquire()
        try:
            if self._is_over or self.stopping or not self._lead():
                return False
            slot.is_busy = True  # Said before another leads, and might find nobody busy.
        finally:
            self._leader.release()
        if self.dozing:
            self.dozing = False
            self.watch.ring()
        return True

    def _wait_for_runner(self, slot: Slot, seconds: float) -> bool:
        """Wait until the runner of `slot` is worth another try; False: nothing is left to run.

        The others go on meanwhile. Where there are none, this thread sees the input's end.
        """
        slot.is_busy = False
        reads = not self._intake.lines and self._leader.acquire(blocking=False)
        try:
            if reads and not self._intake.has_ended:
                self._intake.read(seconds)
            else:
                self.ending.wait(seconds)
        finally:
            if reads:
                self._leader.release()
        has_input = not self._intake.has_ended or self._intake.lines or self.backlog.held
        if self._is_over or self.stopping or not (has_input or self._is_busy()):
            self.wake()
            return False
        slot.is_busy = True
        if self.dozing:
            self.dozing = False
            self.watch.ring()
        return True

    def _lead(self) -> bool:
        gated = self._is_gated()
        if self._intake.lines and not gated:
            return True
        due = self.backlog.next_due()
        seconds = None if due is None else due - monotonic()
        if seconds is not None and seconds <= 0:
            return True
        if not (self._intake.has_ended or gated):
            if not self._intake.read(seconds):
                self._wake.clear()
            return True
        # From here on another thread must wake this one; so first say that it sleeps,
        # then look whether there is anything to sleep for.
        self._leader_sleeps = True
        try:
            if not (self.backlog.held or self._intake.lines or self._is_busy()):
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
        if self.backlog.held or self._intake.lines or not self._is_busy():
            return True
        return not (self._intake.has_ended or self._is_gated())

    def _is_busy(self) -> bool:
        # The last to start are the last to end: from there a busy one is found soonest.
        return any(slot.is_busy for slot in reversed(self.slots))

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
        return self._intake.is_reading and not self._intake.lines and not self._is_busy()

    def queued(self) -> int:
        """Return how many events have been read and wait."""
        return len(self._intake.lines) + self.backlog.held

    def left_over(self, more: Sequence[bytes] = ()) -> list[Job]:
        """Return what was read and not done, and `more` lines; the threads have ended."""
        self._intake.add(more)
        left = [*self.backlog.drain(), *self._intake.drain()]
        return sorted(left, key=lambda job: job.number)

    def fail(self, error: Exception) -> None:
        """Take no further event, and end with `error` (the first one counts)."""
        if self.error is None:
            self.error = error
        self.end(cancel=isinstance(error, ReaderGone))
