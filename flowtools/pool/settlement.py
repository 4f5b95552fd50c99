"""What becomes of an event: results out, records, the failed file, the acknowledgement.

The order keeps the promise that no event is lost: first the lines are written, then the
recorders are told, then the source; so whatever dies in between, the event comes again.
Called by the thread that ran the event, or by the one that replaced it.
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

_DONE = Outcome.DONE  # A look-up in the enumeration would cost every event.


class Settlement:
    """Settles every event of one pool; safe from any thread.

    Attributes:
        counts: Final outcomes so far.
        is_plain: A done event that returned nothing and has no `ackto` needs no more than
            `note`, and to be counted in its slot.
        note: Tells the recorders of it, given what it was made from and when it started;
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
            results: Where returned lines go.
            backlog: Where an event waits for its next attempt.
            settings: Of the pool.
            control: Ends the pool when --halt says so, or where the failed file cannot be written.
            pause: Hears of events that cannot be done now.
            recorders: Are told of each attempt.
            failures: Keeps the lines of events that failed for good; None: they are refused.
            acks: Tells the source what became of each event; None: nobody is told.
            relay: Hands the duty to acknowledge an event on to its results.
        """
        self.counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self._results = results
        self._backlog = backlog
        self._settings = settings
        self._control = control
        self._pause = pause or Pause(settings.retry)
        self._is_ordered = isinstance(results, OrderedResults)
        self._recorders = tuple(recorders)
        self._failures = failures
        self._acks = acks
        self._relay = relay
        self.is_plain = not (settings.pass_on or settings.halt or self._is_ordered)
        self.note = self._note if recorders else None

    def _note(self, event: Event, current: Line | InFlight, started: float) -> None:
        """Tell the recorders of a plain event that is done; the caller counts it."""
        ended = monotonic()
        if isinstance(current, InFlight):
            number, line, since, attempt = (
                current.number,
                current.line,
                current.since,
                current.attempt,
            )
        else:
            number, text, since = current
            line, attempt = without_end(text), 1
        queued = started - since if started > since else 0.0
        ran = ended - started
        fields = (event, line, number, _DONE, attempt, True, queued, ran, time(), None)
        made = tuple.__new__(Attempt, fields)  # As _make does, in half its time.
        for recorder in self._recorders:
            recorder.record(made)

    def totals(self, slots: Iterable[Slot]) -> Counter[str]:
        """Return how many events have ended with which outcome; some are counted in `slots`."""
        totals = Counter(self.counts)
        totals[_DONE] += sum(slot.done for slot in slots)
        return totals

    def done(self, flight: InFlight, started: float, lines: list[bytes]) -> None:
        """`start` has returned; `lines` are its results."""
        self.finish(_attempt(flight, _DONE, None, started=started), lines)
        self._leave(flight)

    def skipped(self, flight: InFlight) -> None:
        """The job log of an earlier run has the event as done."""
        self.finish(_attempt(flight, Outcome.SKIPPED, None, started=monotonic()), [])

    def failed(self, flight: InFlight, started: float, failure: Failure) -> bool:
        """The attempt did not do the event; return whether the event waits for another one."""
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
        self._keep_place(flight)
        if pauses:
            self._pause.note(flight, started, failure)  # First, for nobody is to take it now.
            self._backlog.keep(flight)
        else:
            flight.attempt += 1
            self._backlog.delay(flight, delay)
        return True

    def cancelled(self, flight: InFlight) -> None:
        """The attempt was cut short because the pool ends: the event counts as not tried."""
        self._backlog.delay(flight, 0.0)

    def invalid(self, number: int, line: bytes, error: EventError) -> None:
        """Input line `number` is no event."""
        text = str(error)
        log.warning("line %d is not an event: %s", number, text)
        attempt = Attempt(None, line, number, Outcome.INVALID, 1, True, 0.0, 0.0, time(), text)
        self._give_up(attempt, None)
        if isinstance(line, TooLong) and line.ackto is not None:
            # Only its source has the whole of it: it goes to the dead letters.
            self._tell(line.ackto, attempt.outcome.answer, attempt)

    def empty(self, number: int) -> None:
        """Input line `number` holds nothing."""
        self._results.put(number, [], _tell_nobody)

    def left_over(self, flight: InFlight) -> bool:
        """The pool ends before `flight` was done; return whether it is safe all the same.

        It is where its source will deliver it again, or the failed file takes it.
        """
        if "ackto" in flight.event.attributes and self._acks is not None:
            return True
        if self._failures is None:
            return False
        text = "not tried: the pool ended"
        attempt = _attempt(flight, Outcome.CANCELLED, text, started=monotonic())
        self._failures.write(attempt)
        return True

    def _keep_place(self, flight: InFlight) -> None:
        """See that no other event of the flight's key comes before its next attempt."""
        if flight.key is None and self._settings.key is not None:
            # It ran in a pool of one thread, where no key has been entered.
            flight.key = self._settings.key(flight.event)
            if flight.key is not None:
                self._backlog.enter(flight, flight.key)

    def _give_up(self, attempt: Attempt, flight: InFlight | None) -> None:
        """The event has failed for good: keep its line or refuse it, and count it."""
        if self._failures is not None:
            try:
                self._failures.write(attempt)
            except FlowError as error:
                # Neither kept nor refused: left unacknowledged, so that it comes again.
                with self._counting:
                    self.counts[attempt.outcome] += 1
                self._control.fail(error)
                return
        self.finish(attempt, [])
        if flight is not None:
            self._leave(flight)

    def finish(self, attempt: Attempt, lines: list[bytes]) -> None:
        """Bring an event to its end: results, records, the source, the counts."""
        if self._settings.pass_on and attempt.outcome.is_done:
            lines.append(attempt.line + b"\n")
        written = partial(self._written, attempt)
        if self._relay is not None and attempt.outcome.is_done and lines:
            carrying = self._carrying(self._relay, attempt, lines)
            if carrying is not None:
                lines, written = carrying, partial(self._record, attempt)
        if self._is_ordered:
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
        """Return `lines` with the duty to acknowledge the event; None: there is none to hand on."""
        ackto = attempt.event.attributes.get("ackto") if attempt.event is not None else None
        if ackto is None:
            return None
        try:
            parts = relay.carry(ackto, len(lines))
        except AckError as error:
            log.warning("%s; the event will be delivered again", error)
            return None
        return [with_ackto(line, part) for line, part in zip(lines, parts, strict=True)]

    def _record(self, attempt: Attempt) -> None:
        for recorder in self._recorders:
            recorder.record(attempt)

    def _written(self, attempt: Attempt) -> None:
        self._record(attempt)
        if attempt.event is not None and "ackto" in attempt.event.attributes:
            self._acknowledge(attempt)

    def _acknowledge(self, attempt: Attempt) -> None:
        assert attempt.event is not None
        outcome = attempt.outcome
        if outcome.is_done and self._settings.pass_on:
            return  # The duty went on with the line.
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
            log.warning("%s; the event will be delivered again", error)

    def _reason(self, attempt: Attempt) -> Reason:
        error = attempt.error or attempt.outcome.value
        when = rfc3339(int(attempt.finished * 1000) / 1000)
        return Reason(error, attempt.attempt, self._settings.worker, os.uname().nodename, when)

    def _leave(self, flight: InFlight) -> None:
        if flight.key is not None:
            self._backlog.leave(flight.key)


def _anew(flight: InFlight) -> Event:
    """Return the event of `flight` as it was read: the Worker may have changed values inside it."""
    try:
        return parse(flight.line, digits_checked=True)
    except NotAnEvent as other:
        return Event.of(flight.event.attributes | {"data": other.value})


def _tell_nobody() -> None:
    """Do nothing about lines that have been written."""


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
