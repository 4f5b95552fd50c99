"""A pool whose Worker takes several events at once: it gathers batches and settles each event.

One thread at a time leads: it gathers a batch from the lines that have been read, and reads on,
until the batch is full or has waited long enough. The other threads run their batches meanwhile, or
wait to lead. So two batches never stay half full, each waiting for events that the other has. The
wait counts from the time at which the *first event* of the batch came. If all threads were busy for
longer than that, the batch does not wait at all.

A batch has at most one event of each key, since the events of a key run one after another, and a
failed one is tried again before the next. An event that fails by itself is tried again in any later
batch. If a batch fails as a whole, by an exception, its time-out or the death of its process, the
bad event is not known. Then each event is tried again alone, so that a bad one does not use up the
attempts of the others. If the Worker raised Retry, no event is considered bad.
"""

from collections.abc import Sequence
from math import inf
from time import monotonic
from typing import Any

from flowtools.core.tracing import unprofile, untrace
from flowtools.pool.batch import Answer, Batch
from flowtools.pool.inflight import Claim, InFlight, Slot
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.pool import Pool
from flowtools.pool.runner import failure_of
from flowtools.pool.settings import LINGER

MAX_BYTES = 16 * 1024 * 1024
"""Number of bytes at which a batch is full, however few its lines are."""


class BatchPool(Pool):
    """Runs a Worker's `start_many` over batches of events; see Pool."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._size = self._settings.batch or 1
        self._linger = LINGER if self._settings.linger is None else self._settings.linger
        self._gathered: list[InFlight] = []  # The batch that is being gathered.
        self._next_start: float | None = None  # A start reserved with --rate and not used yet.

    # What follows runs in the worker threads.

    def _serve(self, slot: Slot) -> bool:
        """Gather and run batches. Return False if there are no more, True after a claim."""
        prepare = slot.runner.prepare
        while not self._control.stopping:
            if prepare is not None and (pause := prepare(self._control.ending)):
                if not self._wait_for_runner(slot, pause):
                    return False
                continue
            flights = self._gather(slot)
            if not flights:
                return False
            if self._run(slot, flights):
                return True
        return False

    def _gather(self, slot: Slot) -> list[InFlight]:
        """Return the events of the next batch; an empty list: no more will come."""
        slot.is_busy = False
        if self._backlog.held or self._leader_sleeps:
            self._control.leader.ring()  # The gathering thread must see what this one gave back.
        with self._leader:
            flights = self._gathered = []
            try:
                while self._fill(slot, flights) and self._has_to_wait(flights[0]):
                    self._give_back(flights)
            except BaseException:
                self._give_back(flights)
                raise
            if self._control.stopping and not self._runs_the_last():
                self._give_back(flights)
            # Before the lock is released: the next leader ends the pool if it finds none busy.
            slot.is_busy = bool(flights)
            self._gathered = []
        self._control.note_start()
        return flights

    def _has_to_wait(self, flight: InFlight) -> bool:
        """Return whether a pause has begun since `flight` was taken, so that it must not start."""
        return self._pause.is_on and not self._pause.is_probe(flight)

    def _fill(self, slot: Slot, flights: list[InFlight]) -> bool:
        """Take events until the batch is complete, the pool ends, or there are no more.

        Returns whether the batch has any events.
        """
        until, size = inf, 0
        while not self._control.stopping:
            slot.is_busy = True
            try:
                flight = self._take_next()
            except IndexError:
                # A batch that has events waits until `until` at most; an empty one in `_lead`.
                if flights and not self._wait_for_more(until):
                    break
                slot.is_busy = bool(flights)
                if not flights and (self._is_over or not self._lead()):
                    break
                continue
            if (flights and flight.runs_alone) or not self._wait_for_start(until):
                self._backlog.keep(flight)  # The next batch gets it first.
                break
            flights.append(flight)
            size += len(flight.line)
            if flight.runs_alone or len(flights) >= self._size or size >= MAX_BYTES:
                break
            if len(flights) == 1:
                until = flight.since + self._linger
        return bool(flights)

    def _wait_for_start(self, until: float) -> bool:
        """Wait until --rate lets an event start; False: not before `until`, or the pool ends."""
        pace, now = self._settings.pace, monotonic()
        if pace is None:
            return True
        if self._next_start is None:
            # Kept until it is used: a start reserved for an event given back would be lost.
            self._next_start = now + pace.wait_time(now)
        if self._next_start > until or self._control.ending.wait(max(0.0, self._next_start - now)):
            return False
        self._next_start = None
        return True

    def _wait_for_more(self, until: float) -> bool:
        """Wait for another event for the batch; return False if the batch must not wait longer."""
        if self._is_gated():
            return False
        now = monotonic()
        due = self._backlog.next_due()
        seconds = max(0.0, min(until, inf if due is None else due) - now)
        if not self._intake.has_ended:
            # Read even if the time is over: events that have already come still fit in.
            if self._intake.read(seconds):
                return True
        elif not self._backlog.held:
            return False
        else:
            self._leader_sleeps = True
            try:
                self._control.leader.wait(seconds)
            finally:
                self._leader_sleeps = False
        self._control.leader.clear()
        return monotonic() < until

    def _runs_the_last(self) -> bool:
        """Return whether a batch that was being gathered when the pool ends is still run.

        After a signal it is run: its events have been taken, and there is no error.
        """
        control = self._control
        return control.drains and control.error is None and not control.cancels

    def _give_back(self, flights: list[InFlight]) -> None:
        for flight in flights:
            self._backlog.keep(flight)
        flights.clear()

    def _run(self, slot: Slot, flights: list[InFlight]) -> bool:
        """Run a batch and settle it; return whether the attempt was claimed."""
        runner = slot.runner
        now = monotonic()
        deadline = now + (self._settings.timeout or inf)
        batch = Batch(flights, deadline, runner.failure)
        slot.event = batch.events
        slot.in_flight = batch
        slot.started = now
        slot.deadline = deadline
        answers: Sequence[Answer] = ()
        raised = failure = None
        try:
            answers = runner.start_many(batch)
        except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
            raised = error
        if slot.is_traced:  # Before any call of ours, which might raise.
            slot.is_traced = unprofile() or untrace() or False
        if raised is not None:
            failure, raised = failure_of(raised, runner), None
        slot.deadline = None
        if slot.claim is not None and slot.is_claimed():
            return True
        self._settle_all(slot, batch, answers, failure)
        return False

    def _settle_all(
        self, slot: Slot, batch: Batch[InFlight], answers: Sequence[Answer], failure: Failure | None
    ) -> None:
        """Settle each event by its answer, or all of them by the `failure` of the batch."""
        slot.end_attempt()
        batch.events.end()
        waits = False
        while batch.left:
            place = batch.left[0]
            flight = batch.flights[place]
            answer = batch.whole(failure, place) if failure is not None else answers[place]
            if isinstance(answer, Failure):
                if failure is not None and _may_be_the_cause(failure, batch, place):
                    flight.runs_alone = True
                waits |= self._settlement.failed(flight, slot.started, answer)
            else:
                self._settlement.done(flight, slot.started, answer)
            # Removed only when it is settled, so that an error before leaves it to `put_back`.
            batch.left.popleft()
            self._end_probe(flight, is_done=not isinstance(answer, Failure))
        self._vacate(slot, waits)

    def _settle(self, slot: Slot, lines: list[bytes], failure: Failure | None) -> None:
        batch = slot.flight
        assert isinstance(batch, Batch)
        self._settle_all(slot, batch, [lines] * len(batch.flights), failure)

    def _settle_claim(self, slot: Slot, claim: Claim) -> None:
        batch = slot.flight
        assert isinstance(batch, Batch)
        if claim.verdict is Outcome.CANCELLED:
            # Those that the Worker had already failed one by one keep that failure.
            for place in [place for place in batch.left if place not in batch.failures]:
                batch.left.remove(place)
                self._settlement.cancelled(batch.flights[place])
                self._end_probe(batch.flights[place], is_done=False)
        text = f"not done within {self._settings.timeout:g} s"
        self._settle_all(slot, batch, (), Failure(claim.verdict, text))

    # Called from any thread.

    def put_back(self, slot: Slot) -> None:
        """Put the unsettled events of `slot` back into the backlog, as not tried."""
        batch = slot.flight
        if isinstance(batch, Batch):
            self._give_back([batch.flights[place] for place in batch.left])

    def queued(self) -> int:
        """Return the number of events that have been read and wait."""
        return super().queued() + len(self._gathered)


def _may_be_the_cause(failure: Failure, batch: Batch[InFlight], place: int) -> bool:
    """Return whether the event at `place` may be the cause of the failure of the whole batch."""
    # With Retry and Unavailable a Worker asks for another attempt, and blames no event.
    is_asked_for = failure.after is not None or failure.outcome.pauses
    return len(batch.flights) > 1 and place not in batch.failures and not is_asked_for
