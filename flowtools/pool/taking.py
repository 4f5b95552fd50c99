"""How a thread of a pool takes the next event: from the backlog, or from the lines that were read.

Events of the backlog come first, since they have waited longer. A line whose key has an event in
flight goes to the backlog. During a pause only one event at a time is taken, the probe. Without
keys, a rate, a job log to resume and a required order, a thread does not need any of this while the
backlog is empty: then it takes the next line directly (`Pool._serve`).
"""

import threading
from time import monotonic

from flowtools.pool.backlog import Backlog
from flowtools.pool.control import Control
from flowtools.pool.inflight import Crew, InFlight, Slot
from flowtools.pool.intake import Intake
from flowtools.pool.pause import Pause
from flowtools.pool.results import OrderedResults, Results
from flowtools.pool.settings import Pace, Settings
from flowtools.pool.settlement import Settlement


class Taking:
    """Takes events that may run, and gives back their turn: the first half of a pool.

    Args:
        intake: The source of lines; only the leading thread reads.
        backlog: The events that wait inside the pool.
        settlement: Settles each event.
        results: Tells when too many results wait for an earlier one.
        settings: The settings of the pool.
        crew: The threads of the pool, each with its slot.
        control: Tells whether the pool has to end.
        pause: Tells whether the pool pauses.
    """

    def __init__(
        self,
        intake: Intake,
        backlog: Backlog,
        settlement: Settlement,
        results: Results,
        settings: Settings,
        crew: Crew,
        control: Control,
        pause: Pause,
    ) -> None:
        self._intake = intake
        self._backlog = backlog
        self._settlement = settlement
        self._results = results
        self._settings = settings
        self._crew = crew
        self._control = control
        self._pause = pause
        self._is_over = False
        self._leader = threading.Lock()
        self._leader_sleeps = False
        self._taking = threading.Lock()
        # A single thread needs keys only for events that wait for a retry (Settlement enters them).
        keyed = settings.key is not None and (settings.threads > 1 or settings.key_rate is not None)
        ordered = isinstance(results, OrderedResults)
        known = settings.done or settings.known
        # Otherwise a thread takes the next line without any lock: this is the fast path.
        self._chooses = bool(keyed or known or settings.pace or ordered)

    def _choose(self) -> InFlight:
        """Return the next event that may run, from the backlog or the input.

        Raises:
            IndexError: There is no such event now.
        """
        flight = self._take_next()
        if self._settings.pace is not None and not self._wait_for_pace(self._settings.pace, flight):
            raise IndexError
        return flight

    def _take_next(self) -> InFlight:
        """Return the next event that may run, without regard to --rate.

        Raises:
            IndexError: There is no such event now.
        """
        flight = None
        while flight is None:
            flight = self._take()
            if self._leader_sleeps:
                self._control.leader.ring()  # There may be room again, so that it can read on.
        return flight

    def _take(self) -> InFlight | None:
        """Return an event that may run; None: the line was not an event, or must not run now.

        Raises:
            IndexError: There is no line or event to take now.
        """
        if not self._pause.is_on:
            return self._find()
        if not self._pause.claim():
            raise IndexError
        flight = None
        try:
            flight = self._find()
        finally:
            self._pause.send(flight)  # Always: a claimed probe that never starts blocks the pool.
        return flight

    def _find(self) -> InFlight | None:
        settings = self._settings
        with self._taking:  # Taking a line and entering its key must be one step, or order is lost.
            flight = self._backlog.take()
            if flight is not None:
                return flight
            if self._is_full():
                raise IndexError
            flight = self._intake.flight(self._intake.lines.popleft())
            is_done = flight is not None and settings.is_done(flight.event)
            if flight is not None and not is_done and settings.key is not None:
                flight.key = settings.key(flight.event)
                if flight.key is not None and not self._backlog.enter(flight, flight.key):
                    return None
        if flight is not None and is_done:
            self._settlement.skipped(flight)  # Outside the lock: it may write to files.
            return None
        return flight

    def _leave(self, slot: Slot, flight: InFlight) -> None:
        slot.end_attempt()
        if flight.key is not None:
            self._backlog.leave(flight.key)
        self._end_probe(flight, is_done=True)

    def _end_probe(self, flight: InFlight, *, is_done: bool) -> None:
        if self._pause.is_on and self._pause.ended(flight, is_done=is_done):
            self._backlog.note_pause()
            self._control.leader.ring()

    def _wait_for_pace(self, pace: Pace, flight: InFlight) -> bool:
        seconds = pace.wait_time(monotonic())
        if seconds > 0 and self._control.ending.wait(seconds):
            self._backlog.delay(flight, 0.0)  # It has not started; `left_over` finds it there.
            return False
        return True

    def _is_full(self) -> bool:
        return self._backlog.is_full or self._results.is_full

    def _is_gated(self) -> bool:
        """Return whether further input must not be read now."""
        return self._is_full() or self._pause.holds()
