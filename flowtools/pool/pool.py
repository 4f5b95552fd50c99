"""The pool: threads that take lines themselves and run a Worker on each, within time-outs.

Leader and followers: a thread that finds the buffer of lines empty becomes the leader and reads the
next block of input; the others wait behind its lock `_leader`. So no event is handed from thread to
thread. A leader that cannot read (a full pool, a pause, the end of the input) sleeps until
`control.leader` is rung. Every thread that changes one of these conditions must ring it.

`Watchdog.run` starts the worker threads and watches them (watchdog.py). A thread that is stuck
beyond its time-out and grace is abandoned and replaced, and never joined. inflight.py explains how
a thread and the watchdog agree who settles an attempt.
"""

from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import inf
from time import monotonic, sleep
from typing import Any

from flowtools.core.event import ReadEvent
from flowtools.core.tracing import unprofile, untrace
from flowtools.core.wait import Stop
from flowtools.pool.inflight import Claim, InFlight, Line, Slot
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.runner import RunnerBroken, failure_of
from flowtools.pool.taking import Taking
from flowtools.worker.exceptions import TimeLimit


class Step(Enum):
    """What a thread of the pool does next."""

    RUN = auto()
    """Take an event and run it."""
    AGAIN = auto()
    """Begin again, without an event."""
    CLAIMED = auto()
    """Look at the claim on the attempt."""
    END = auto()
    """End, because nothing is left to do."""


class Pool(Taking):
    """Runs a Worker over lines: the code of the pool's threads; see Taking for its parts."""

    def work(self, slot: Slot, inherited: Claim | None = None) -> None:
        """Process events until there are no more: the body of a worker thread.

        `inherited` is the claim on the attempt that an abandoned thread left unsettled.
        """
        slot.has_begun = True
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
                    return  # This thread was abandoned: its replacement settles the attempt.
                slot.claim = None
                self._settle_claim(slot, claim)
        except RunnerBroken as broken:
            self._control.fail(broken.error)
        except Exception as error:  # noqa: BLE001  the top of a thread
            self._control.fail(error)
            self.put_back(slot)  # Not settled to the end: `left_over` has to find the event.
        slot.is_busy, slot.ended = False, True
        if self._crew.note_end():
            self._control.watchdog.ring()
        self._control.leader.ring()

    def _serve_until_claimed(self, slot: Slot) -> bool:
        """Process events; return False at the end, True when an attempt has been claimed.

        The watchdog's TimeLimit may be raised between any two bytecodes. Until it has been raised,
        all code must stay inside the outer `try`, or it would end the thread.
        """
        try:
            try:
                if not self._serve(slot):
                    return False
            except TimeLimit:
                slot.deadline = None
                if not slot.is_claimed():  # Without a claim, the Worker itself raised TimeLimit.
                    self._settle(slot, [], Failure(Outcome.FAILED, "the Worker raised TimeLimit"))
                    return True
            # The exception is still on its way. If this thread went on, it would hit any code.
            while slot.claim is None or not slot.claim.interrupted:
                sleep(0.0005)
            for _ in range(1000):  # CPython raises a pending exception at a backward jump.
                pass
        except TimeLimit:
            return True
        return True

    def _serve(self, slot: Slot) -> bool:  # noqa: C901  the inner loop: a call costs every event
        """Take and run events. Return False if there are no more, True after a claim."""
        backlog, intake, control = self._backlog, self._intake, self._control
        chooses, popleft = self._chooses, intake.lines.popleft
        runner, timeout = slot.runner, self._settings.timeout or inf
        start, prepare = runner.start, runner.prepare
        is_plain, note = self._settlement.is_plain, self._settlement.note
        current: Line | InFlight
        attributes: dict[str, Any] | None
        while not control.stopping:
            if prepare is not None and (step := self._prepare(slot, prepare)) is not Step.RUN:
                if step is Step.AGAIN:
                    continue
                return step is Step.CLAIMED
            try:
                if chooses or backlog.leads:
                    current = flight = self._choose()
                    attributes = flight.event.attributes
                else:
                    current = line = popleft()
                    flight, attributes = None, line[3]
                    if not line[4]:
                        if (flight := intake.flight(line)) is None:
                            continue
                        current, attributes = flight, flight.event.attributes
            except IndexError:
                if self._wait_for_work(slot):
                    continue
                return False
            slot.event = event = ReadEvent()
            # A copy if the pool needs the attributes later, whatever the Worker does to its own.
            event.attributes = attributes.copy() if note or flight else attributes
            slot.in_flight = current
            slot.started = now = monotonic()
            event.deadline = slot.deadline = now + timeout
            raised = failure = lines = None
            try:
                returned = start(event)
                if returned is not None:
                    lines = runner.lines(event, returned)
            except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
                raised = error
            if slot.is_traced:  # Before any call of ours, which might raise.
                slot.is_traced = unprofile() or untrace() or False
            if raised is not None:
                failure, raised = failure_of(raised, runner), None
            slot.deadline = None  # Only here: `failure_of` runs the Worker's code, too.
            if slot.claim is not None and slot.is_claimed():
                return True
            is_easy = is_plain and failure is None and lines is None
            if is_easy and (flight is None or "ackto" not in attributes):  # None: it has no ackto.
                if note is not None:
                    event.attributes = attributes
                    note(event, current, now)
                if flight is not None:
                    self._leave(slot, flight)
                slot.done, slot.in_flight = slot.done + 1, None  # Counted without a lock.
            else:
                self._settle(slot, lines or [], failure)
        return False

    def _prepare(self, slot: Slot, prepare: Callable[[Stop], float]) -> Step:
        """Prepare the runner of `slot`; return what to do next."""
        seconds = prepare(self._control.ending)
        if not seconds:
            return Step.RUN
        return Step.AGAIN if self._wait_for_runner(slot, seconds) else Step.END

    def _settle(self, slot: Slot, lines: list[bytes], failure: Failure | None) -> None:
        flight = slot.end_attempt()
        assert isinstance(flight, InFlight)
        waits = False
        if failure is None:
            self._settlement.done(flight, slot.started, lines)
        else:
            waits = self._settlement.failed(flight, slot.started, failure)
        self._end_probe(flight, is_done=failure is None)
        self._vacate(slot, waits)

    def _settle_claim(self, slot: Slot, claim: Claim) -> None:
        flight = slot.end_attempt()
        assert isinstance(flight, InFlight)
        waits = False
        if claim.verdict is Outcome.CANCELLED:
            self._settlement.cancelled(flight)
        else:
            text = f"not done within {self._settings.timeout:g} s"
            waits = self._settlement.failed(flight, slot.started, Failure(claim.verdict, text))
        self._end_probe(flight, is_done=False)
        self._vacate(slot, waits)

    def _vacate(self, slot: Slot, waits: bool) -> None:
        slot.in_flight = None
        if waits or self._leader_sleeps:
            self._control.leader.ring()  # The leader must wait only until the next attempt is due.

    def _due(self) -> float | None:
        """Return when an event in the pool can start (monotonic seconds); None: not known."""
        due = self._backlog.next_due()
        if self._intake.lines and not self._is_full():
            due = 0.0
        if due is None or not self._pause.is_on:
            return due
        opens = self._pause.opens()
        return None if opens is None else max(due, opens)

    def _wait_for_work(self, slot: Slot) -> bool:
        """Wait until there may be something to take; return False if nothing more will come."""
        slot.is_busy = False
        if not self._leader.acquire(blocking=False):
            # This thread may have been the last busy one, which ends the pool, or have made room.
            if self._leader_sleeps and self._has_news():
                self._control.leader.ring()
            self._leader.acquire()
        try:
            if self._is_over or self._control.stopping or not self._lead():
                return False
            slot.is_busy = True  # Set before another thread leads, which might find none busy.
        finally:
            self._leader.release()
        self._control.note_start()
        return True

    def _wait_for_runner(self, slot: Slot, seconds: float) -> bool:
        """Wait until the runner of `slot` can be tried again; return False if nothing is left.

        The other threads continue meanwhile. If no other thread leads, this one reads, so that it
        notices the end of the input.
        """
        slot.is_busy = False
        reads = not self._intake.lines and self._leader.acquire(blocking=False)
        try:
            if reads and not self._intake.has_ended:
                self._intake.read(seconds)
            else:
                self._control.ending.wait(seconds)
        finally:
            if reads:
                self._leader.release()
        has_input = not self._intake.has_ended or self._intake.lines or self._backlog.held
        if self._is_over or self._control.stopping or not (has_input or self._crew.is_busy()):
            self._control.leader.ring()
            return False
        slot.is_busy = True
        self._control.note_start()
        return True

    def _lead(self) -> bool:
        due = self._due()
        seconds = None if due is None else due - monotonic()
        if seconds is not None and seconds <= 0:
            return True
        gated = self._is_gated()
        if not (self._intake.has_ended or gated):
            if not self._intake.read(seconds):
                self._control.leader.clear()
            return True
        # From here on another thread must wake this one. So `_leader_sleeps` is set first, and the
        # conditions are checked afterwards: no change in between can be missed.
        self._leader_sleeps = True
        try:
            # Not while a thread is busy: its event may yet wait for a retry, or free a key.
            if not (self._backlog.held or self._intake.lines or self._crew.is_busy()):
                self._is_over = True
                return False
            if gated and not self._is_gated():
                return True
            self._control.leader.wait(seconds)
        finally:
            self._leader_sleeps = False
        self._control.leader.clear()
        return True

    def _has_news(self) -> bool:
        """Return whether a sleeping leader has something to do, as seen from this thread."""
        if not (self._backlog.held or self._intake.lines or self._crew.is_busy()):
            return True
        due = self._due()
        if due is not None and due <= monotonic():
            return True
        return not (self._intake.has_ended or self._is_gated())

    # Any thread may call the following methods.

    def put_back(self, slot: Slot) -> None:
        """Put the event of `slot`, which is not completely settled, back into the backlog."""
        if isinstance(flight := slot.flight, InFlight):
            self._backlog.delay(flight, 0.0)

    def is_idle(self) -> bool:
        """Return whether no event is running and the leader waits for input."""
        return self._intake.is_reading and not self._intake.lines and not self._crew.is_busy()

    def queued(self) -> int:
        """Return the number of events that have been read and wait."""
        return len(self._intake.lines) + self._backlog.held

    def left_over(self, more: Sequence[bytes] = ()) -> list[InFlight]:
        """Return the events not done, and those of the lines `more`, in order; no thread runs."""
        self._intake.add(more)
        left = [*self._backlog.drain(), *self._intake.drain()]
        left += self._settlement.take_unwritten(left)
        return sorted(left, key=lambda each: each.number)
