"""Settles events: writes results, records attempts, fills the failed file, and acknowledges.

The order guarantees that no event is lost: first the lines are written, then the recorders are
told, and the source comes last. If the process dies in between, the source delivers the event
again. In any other order an acknowledged event could be missing from the output or the records.

The thread that ran the event settles it, or the thread that replaced it. The lock `_counting` only
guards the counts, so that threads do not wait for each other's writes.
"""

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic, time

from flowtools.ack.records import AckError, Reason, with_ackto
from flowtools.core.errors import FlowError
from flowtools.core.event import Event, EventError, NotAnEvent, parse, rfc3339
from flowtools.core.lines import without_end
from flowtools.core.log import get_log
from flowtools.core.toolong import TooLong
from flowtools.pool.backlog import Backlog
from flowtools.pool.control import Control
from flowtools.pool.inflight import InFlight, Line, Slot, about
from flowtools.pool.outcome import Answer, Attempt, Failure, Outcome
from flowtools.pool.pause import Pause
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.settings import Acknowledger, Carrier, Failures, Recorder, Settings

log = get_log("flowtools.pool")

_DONE = Outcome.DONE  # A name of its own: a look-up in the enumeration for every event costs time.


class Settlement:
    """Settles every event of one pool; safe from any thread.

    Attributes:
        counts: The number of events by final outcome so far.
        is_plain: Whether a done event without results and `ackto` only has to be noted with `note`
            and counted in its slot.
        note: Tells the recorders of such an event, given its line and the start of the attempt;
            None: there is no recorder.
    """

    note: Callable[[Event, Line | InFlight, float], None] | None

    def __init__(
        self,
        results: Results,
        backlog: Backlog,
        settings: Settings,
        control: Control,
        pause: Pause | None = None,
        *,
        recorders: Sequence[Recorder] = (),
        failures: Failures | None = None,
        acks: Acknowledger | None = None,
        relay: Carrier | None = None,
    ) -> None:
        """Settle with these parts.

        Args:
            results: Writes the returned lines.
            backlog: Keeps events until their next attempt.
            settings: The settings of the pool.
            control: Ends the pool for --halt, or if the failed file cannot be written.
            pause: Is told of events that cannot be done now.
            recorders: Record each attempt.
            failures: Keeps the lines of events that failed permanently; None: these are rejected.
            acks: Acknowledges and rejects events; None: nothing is acknowledged.
            relay: Passes the duty to acknowledge an event on to its results.
        """
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._results = results
        self._backlog = backlog
        self._settings = settings
        self._control = control
        self._pause = pause or Pause(settings.retry)
        self._is_ordered = isinstance(results, OrderedResults)
        # By number: the attempts that are done except that their results have not been written.
        self._unwritten: dict[int, Attempt] = {}
        self._ran: set[int] = set()
        self._recorders = tuple(recorders)
        self._failures = failures
        self._acks = acks
        self._relay = relay
        # Each of these three needs `finish` even for an event without results.
        self.is_plain = not (settings.pass_on or settings.halt or self._is_ordered)
        self.note = self._note if recorders else None

    def _note(self, event: Event, current: Line | InFlight, started: float) -> None:
        """Tell the recorders of a done plain event; the caller counts it."""
        ended = monotonic()
        if isinstance(current, InFlight):
            number, line, since, attempt = (
                current.number,
                current.line,
                current.since,
                current.attempt,
            )
        else:
            number, text, since, _, _ = current
            line, attempt = without_end(text), 1
        queued = started - since if started > since else 0.0
        ran = ended - started
        fields = (event, line, number, _DONE, attempt, True, queued, ran, time(), None)
        made = tuple.__new__(Attempt, fields)  # As _make does, in half its time.
        for recorder in self._recorders:
            recorder.record(made)

    def totals(self, slots: Iterable[Slot]) -> Counter[str]:
        """Return the number of events by outcome; those counted only in `slots` are added."""
        totals = Counter(self.counts)
        totals[_DONE] += sum(slot.done for slot in slots)
        return totals

    def done(self, flight: InFlight, started: float, lines: list[bytes]) -> None:
        """Settle an event whose `start` has returned; `lines` are its results."""
        self.finish(_attempt(flight, _DONE, None, started=started), lines)
        self._leave(flight)

    def skipped(self, flight: InFlight) -> None:
        """Settle an event that an earlier run has already done."""
        self.finish(_attempt(flight, Outcome.SKIPPED, None, started=monotonic()), [])

    def failed(self, flight: InFlight, started: float, failure: Failure) -> bool:
        """Settle a failed attempt; return whether the event waits for another attempt."""
        pauses = failure.outcome.pauses
        retry = self._settings.retry
        age = 0.0 if retry.retry_until is None else flight.age
        delay = 0.0 if pauses else retry.delay(flight.attempt, failure, age)
        attempt = _attempt(
            flight, failure.outcome, failure.text, started=started, final=delay is None
        )
        log.log(
            logging.INFO if delay is not None else logging.WARNING,
            "event '%s' (line %d, attempt %d): %s: %s",
            flight.label,
            flight.number,
            flight.attempt,
            failure.outcome,
            failure.text,
            traceback=failure.traceback,
            about=about(flight.event.attributes, flight.attempt),
        )
        if delay is None:
            self._give_up(attempt, flight)
            return False
        for recorder in self._recorders:
            recorder.record(attempt)
        flight.event = _anew(flight)
        # Before the event goes into the backlog, or a later event of its key could overtake it.
        self._keep_place(flight)
        if pauses:
            # The pause begins first, so that no thread takes the event back at once.
            self._pause.note(flight, started, failure)
            self._backlog.keep(flight)
        else:
            flight.attempt += 1
            self._backlog.delay(flight, delay)
        return True

    def cancelled(self, flight: InFlight) -> None:
        """Put back an event whose attempt was cancelled at the end: it counts as not tried."""
        self._backlog.delay(flight, 0.0)

    def invalid(self, number: int, line: bytes, error: EventError) -> None:
        """Settle input line `number`, which is not an event."""
        text = str(error)
        log.warning("line %d is not an event: %s", number, text)
        attempt = Attempt(None, line, number, Outcome.INVALID, 1, True, 0.0, 0.0, time(), text)
        self._give_up(attempt, None)
        if isinstance(line, TooLong) and line.ackto is not None:
            # Only its source has the whole line: rejecting moves it to the dead letters there.
            self._tell(line.ackto, attempt.outcome.answer, attempt)

    def empty(self, number: int) -> None:
        """Note that input line `number` is empty, so that --keep-order does not wait for it."""
        self._results.put(number, [], _tell_nobody)

    def take_unwritten(self, others: Iterable[InFlight]) -> list[InFlight]:
        """Take the events, except `others`, whose results wait for an event that was not done.

        They are not done without their results, so that they no longer count as done. Only to be
        called when no thread runs.
        """
        for other in others:
            self._unwritten.pop(other.number, None)  # It was put back, and has not been counted.
        flights = []
        while self._unwritten:
            number, attempt = self._unwritten.popitem()
            self._ran.add(number)
            self.counts[attempt.outcome] -= 1
            assert attempt.event is not None
            found = InFlight(attempt.event, attempt.line, number, monotonic(), attempt.attempt)
            flights.append(found)
        return flights

    def left_over(self, flight: InFlight) -> bool:
        """Handle an event that is not done when the pool ends; return whether it is safe.

        It is safe if its source will deliver it again, or once it is in the failed file.
        """
        if "ackto" in flight.event.attributes and self._acks is not None:
            return True
        if self._failures is None:
            return False
        ran = flight.number in self._ran
        what = "its results were not written" if ran else "not tried"
        text = f"{what}: the pool ended"
        attempt = _attempt(flight, Outcome.CANCELLED, text, started=monotonic())
        if not ran:
            attempt = attempt._replace(attempt=flight.attempt - 1)  # This one does not count.
        self._failures.write(attempt)
        return True

    def _keep_place(self, flight: InFlight) -> None:
        """Make later events of the same key wait for the next attempt of `flight`."""
        if flight.key is None and self._settings.key is not None:
            # A pool of one thread does not enter keys until an event has to be tried again.
            flight.key = self._settings.key(flight.event)
            if flight.key is not None:
                self._backlog.enter(flight, flight.key)

    def _give_up(self, attempt: Attempt, flight: InFlight | None) -> None:
        """Settle an event that has failed permanently: keep its line or reject it, and count it."""
        if self._failures is not None:
            try:
                self._failures.write(attempt)
            except FlowError as error:
                # Neither kept nor rejected: it stays unacknowledged and is delivered again.
                with self._counting:
                    self.counts[attempt.outcome] += 1
                self._control.fail(error)
                return
        self.finish(attempt, [])
        if flight is not None:
            self._leave(flight)

    def finish(self, attempt: Attempt, lines: list[bytes]) -> None:
        """Complete an event: write results, record it, answer the source, count it."""
        if self._settings.pass_on and attempt.outcome.is_done:
            lines.append(attempt.line + b"\n")
        written = partial(self._written, attempt)
        if self._relay is not None and attempt.outcome.is_done and lines:
            carrying = self._carrying(self._relay, attempt, lines)
            if carrying is not None:
                # Recorded only: the source is told by the relay or by the next command.
                lines, written = carrying, partial(self._record, attempt)
        if self._is_ordered:
            # Another thread may write these lines much later. The source is told only then.
            if lines:
                self._unwritten[attempt.number] = attempt
                written = partial(self._written_late, attempt.number, written)
            self._results.put(attempt.number, lines, written)
        else:
            if lines:
                self._results.put(attempt.number, lines, _tell_nobody)
            written()
        with self._counting:
            self.counts[attempt.outcome] += 1
        if self._settings.halt is not None:
            verdict = self._settings.halt.record(attempt)
            if verdict is not None:
                self._control.end(cancel=verdict == "now")

    def _carrying(self, relay: Carrier, attempt: Attempt, lines: list[bytes]) -> list[bytes] | None:
        """Return `lines` with the duty to acknowledge the event; None if there is no duty."""
        ackto = attempt.event.attributes.get("ackto") if attempt.event is not None else None
        if ackto is None:
            return None
        try:
            parts = relay.carry(ackto, len(lines))
        except AckError:
            return None  # It is malformed. `_tell` reports that when the lines are written.
        return [with_ackto(line, part) for line, part in zip(lines, parts, strict=True)]

    def _record(self, attempt: Attempt) -> None:
        for recorder in self._recorders:
            recorder.record(attempt)

    def _written_late(self, number: int, written: Callable[[], None]) -> None:
        written()
        self._unwritten.pop(number, None)

    def _written(self, attempt: Attempt) -> None:
        self._record(attempt)
        if attempt.event is not None and "ackto" in attempt.event.attributes:
            self._acknowledge(attempt)

    def _acknowledge(self, attempt: Attempt) -> None:
        assert attempt.event is not None
        outcome = attempt.outcome
        if outcome.is_done and self._settings.pass_on:
            return  # The forwarded line carries the duty to acknowledge.
        # `_give_up` has kept the line before; the failed file now answers for the event.
        is_kept = outcome.is_failure and self._failures is not None
        answer = Answer.ACK if is_kept else outcome.answer
        self._tell(attempt.event.attributes["ackto"], answer, attempt)

    def _tell(self, ackto: str, answer: Answer, attempt: Attempt) -> None:
        if self._acks is None:
            return
        try:
            if answer is Answer.ACK:
                self._acks.ack(ackto)
            elif answer is Answer.NACK:
                self._acks.nack(ackto, self._reason(attempt))
        except AckError as error:
            log.warning("line %d: %s", attempt.number, error)

    def _reason(self, attempt: Attempt) -> Reason:
        error = attempt.error or attempt.outcome.value
        when = rfc3339(int(attempt.finished * 1000) / 1000)
        return Reason(error, attempt.attempt, self._settings.worker, os.uname().nodename, when)

    def _leave(self, flight: InFlight) -> None:
        if flight.key is not None:
            self._backlog.leave(flight.key)


def _anew(flight: InFlight) -> Event:
    """Return the event of `flight` as it was read: the Worker may have changed its values."""
    try:
        return parse(flight.line, digits_checked=True)
    except NotAnEvent as other:
        return Event.of(flight.event.attributes | {"data": other.value})


def _tell_nobody() -> None:
    """Do nothing: after these lines have been written, no further step depends on them."""


def _attempt(
    flight: InFlight, outcome: Outcome, error: str | None, *, started: float, final: bool = True
) -> Attempt:
    queued = started - flight.since
    return Attempt(
        flight.event,
        flight.line,
        flight.number,
        outcome,
        flight.attempt,
        final,
        queued if queued > 0.0 else 0.0,  # noqa: FURB136  a call costs every event
        monotonic() - started,
        time(),
        error,
    )
