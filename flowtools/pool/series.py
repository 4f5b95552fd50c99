"""A pool whose processes run several short events in a row: takes, settles and gives back events.

With --isolation process each thread of the pool owns a process. If events are short, and more wait
than there are threads, a thread hands a series of them to its process (handover.py). The process
has begun one of them at most; the others are `ahead`. An event that is ahead goes back to the
backlog, where any thread may take it, as soon as

- an answer takes longer than a few milliseconds, so that the process may hang,
- the process has died, or has halted after a failure,
- the pool pauses or ends.

It then counts as not tried. An event has a deadline only while it is the last one in the process:
the watchdog kills the process after a deadline, and must hit the event that has it. While other
events are ahead, the thread itself waits only for those few milliseconds.

A series has at most one event of a key, because the next one waits in the backlog until the first
is settled. So the events of a key keep their order, whatever is taken back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, NamedTuple

from flowtools.core.event import Event, EventError, ReadEvent
from flowtools.core.wait import Stop
from flowtools.pool.handover import PATIENCE
from flowtools.pool.inflight import InFlight, Line, Slot, as_flight
from flowtools.pool.outcome import Failure
from flowtools.pool.packets import LARGEST
from flowtools.pool.pool import Pool, Step
from flowtools.pool.runner import Answered, Series

MAX_BYTES = LARGEST
"""Number of bytes at which a series is full, however few its events are."""

SHORTEST_TIMEOUT = 0.1
"""Seconds of --timeout below which there is no series: PATIENCE must be much shorter."""

HALTED = 1.0
"""Seconds for a process that has halted to return the events that it has read."""

Current = InFlight | Line


class _Taken(NamedTuple):
    """An event of a series: as the pool has it, its attributes, and its encoded form."""

    current: Current
    attributes: dict[str, Any]
    content: bytes


@dataclass
class _Series:
    """A series that runs.

    Attributes:
        slot: The slot of the thread.
        runner: What talks to the process.
        taken: All events of the series; the place of each is its number.
        is_taken_back: Whether events were taken back since the pool pauses or ends.
        has_halted: Whether the process has halted, so that it returns what it reads.
    """

    slot: Slot
    runner: Series
    taken: list[_Taken]
    is_taken_back: bool = False
    has_halted: bool = False


class SeriesPool(Pool):
    """Runs a Worker in processes, several short events in a row; see Pool."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        settings = self._settings
        # --rate and --key-rate decide about each start. --halt and --once decide about an event
        # when the one before it is done.
        is_single = settings.pace or settings.key_rate or settings.halt or settings.known
        self._has_series = not is_single and (settings.timeout or inf) >= SHORTEST_TIMEOUT
        # Keys are needed with one thread, too: an event that is given back must not overtake the
        # next attempt of an earlier one.
        self._chooses = self._chooses or settings.key is not None

    # What follows runs in the worker threads.

    def _prepare(self, slot: Slot, prepare: Callable[[Stop], float]) -> Step:
        """Prepare the runner, and run a series if events are short; return what to do next."""
        step = super()._prepare(slot, prepare)
        runner = slot.runner.series
        if step is not Step.RUN or runner is None or not self._has_series or self._pause.is_on:
            return step
        size = runner.size(len(self._intake.lines), self._settings.threads)
        taken = self._take_several(slot, size) if size > 1 else []
        if not taken:
            return Step.RUN
        return Step.CLAIMED if self._run_series(_Series(slot, runner, taken)) else Step.AGAIN

    def _take_several(self, slot: Slot, most: int) -> list[_Taken]:
        taken: list[_Taken] = []
        size = 0
        try:
            while len(taken) < most and size < MAX_BYTES:
                found = self._take_encoded(slot)
                if found is None:
                    continue
                if len(found.content) > LARGEST:  # It needs a file, and so runs alone.
                    self._give_back([found.current])
                    break
                size += len(found.content)
                taken.append(found)
        except IndexError:
            pass  # No more events can be taken now.
        return taken

    def _take_encoded(self, slot: Slot) -> _Taken | None:
        """Take an event; None: it is settled already.

        Raises:
            IndexError: There is no event to take now.
        """
        if self._chooses or self._backlog.leads:
            flight = self._choose()
        else:
            line = self._intake.lines.popleft()
            if line[4]:
                return _Taken(line, line[3], line[1])
            found = self._intake.flight(line)
            if found is None:
                return None
            flight = found
        try:
            return _Taken(flight, flight.event.attributes, flight.event.encode())
        except EventError as error:  # It is nested too deeply.
            slot.in_flight, slot.started = flight, monotonic()
            self._settle(slot, [], Failure.of(error))
            return None

    def _run_series(self, series: _Series) -> bool:
        """Run a series to its end; return whether its last attempt was claimed."""
        slot, runner, taken = series.slot, series.runner, series.taken
        slot.ahead = {number: each.current for number, each in enumerate(taken)}
        slot.started = monotonic()
        given = runner.hand_over([each.content for each in taken])
        self._give_back([slot.ahead.pop(number) for number in range(given, len(taken))])
        while slot.ahead:
            answered = None
            try:
                answered = self._next_answer(series)
            except (EOFError, OSError):
                self._bury(series)
            if slot.claim is not None and slot.is_claimed():
                slot.ahead.clear()  # Only the event that is claimed was left.
                runner.end()
                return True
            if answered is not None:
                self._accept(series, answered)
        slot.in_flight = None
        runner.end()
        return False

    def _next_answer(self, series: _Series) -> Answered | None:
        """Wait for an answer; None: look again at what is left.

        Raises:
            OSError, EOFError: The process has died.
        """
        slot = series.slot
        is_over = self._control.stopping or self._pause.is_on
        if is_over and not (series.is_taken_back or series.has_halted):
            series.is_taken_back = True
            slot.in_flight = None
            self._take_back(series)
            if not slot.ahead:
                return None
        self._look_at_first(series)
        answered = series.runner.answer(HALTED if series.has_halted else PATIENCE)
        if answered is not None:
            return answered
        if series.has_halted:
            raise EOFError  # It is as good as dead: it has nothing else to do than to answer.
        slot.in_flight = None
        self._take_back(series)
        # More than one: they were answered just now.
        return self._await_last(series) if len(slot.ahead) == 1 else None

    def _look_at_first(self, series: _Series) -> Event:
        """Note that the first event of those that are left is the one that the process runs."""
        slot = series.slot
        number, current = next(iter(slot.ahead.items()))
        if slot.in_flight is not current or slot.event is None:
            slot.event = ReadEvent.of(series.taken[number].attributes)
            slot.in_flight = current
        assert isinstance(slot.event, Event)
        return slot.event

    def _await_last(self, series: _Series) -> Answered | None:
        """Wait for the answer to the only event that is left, until its deadline."""
        slot = series.slot
        event = self._look_at_first(series)
        event.deadline = slot.deadline = slot.started + (self._settings.timeout or inf)
        if self._control.cancels:
            self._control.watchdog.ring()  # It found no attempt to cancel here until now.
        try:
            answered = series.runner.answer(None)
            series.runner.hear()
            return answered
        finally:
            slot.deadline = None

    def _accept(self, series: _Series, answered: Answered) -> None:
        slot = series.slot
        slot.in_flight = current = slot.ahead.pop(answered.number)
        if answered.is_returned:
            slot.in_flight = None
            self._give_back([current])
            return
        if answered.has_halted:
            series.has_halted = True
            series.runner.hear()
            self._take_back(series)
            series.runner.go_on()
        lines, failure = answered.lines, answered.failure
        attributes = series.taken[answered.number].attributes
        if lines:
            try:
                lines = slot.runner.lines(ReadEvent.of(attributes), lines)
            except Exception as error:  # noqa: BLE001  such as a result that is too long
                lines, failure = [], slot.runner.failure(error)
        self._settle_in_turn(slot, attributes, lines, failure)
        slot.started = monotonic()

    def _bury(self, series: _Series) -> None:
        """Settle the event that a process had begun when it died, and give back the others."""
        slot = series.slot
        self._take_back(series)
        if series.has_halted:  # It had not begun any.
            self._give_back([slot.ahead.pop(number) for number in list(slot.ahead)])
            series.runner.give_up()
            return
        if slot.ahead:
            self._look_at_first(series)
        failure = series.runner.give_up()
        if not slot.ahead or (slot.claim is not None and slot.is_claimed()):
            return
        number = next(iter(slot.ahead))
        del slot.ahead[number]
        self._settle_in_turn(slot, series.taken[number].attributes, [], failure)

    def _settle_in_turn(
        self, slot: Slot, attributes: dict[str, Any], lines: list[bytes], failure: Failure | None
    ) -> None:
        """Settle the event of `slot`. After an error, the pool ends, but others are still ahead."""
        try:
            self._settle_answer(slot, attributes, lines, failure)
        except Exception as error:  # noqa: BLE001  as in `work`
            self._control.fail(error)
            super().put_back(slot)
            slot.in_flight = None

    def _settle_answer(
        self, slot: Slot, attributes: dict[str, Any], lines: list[bytes], failure: Failure | None
    ) -> None:
        current, settlement = slot.in_flight, self._settlement
        assert isinstance(current, InFlight | tuple)
        flight = current if isinstance(current, InFlight) else None
        is_easy = settlement.is_plain and failure is None and not lines
        if not is_easy or (flight is not None and "ackto" in attributes):
            self._settle(slot, lines, failure)
            return
        if settlement.note is not None:
            assert isinstance(slot.event, Event)
            settlement.note(slot.event, current, slot.started)
        if flight is not None:
            self._leave(slot, flight)
        slot.done, slot.in_flight = slot.done + 1, None

    def _take_back(self, series: _Series) -> None:
        ahead = series.slot.ahead
        self._give_back([ahead.pop(number) for number in series.runner.take_back()])

    def _give_back(self, currents: list[Current]) -> None:
        """Put events that were not begun into the backlog, where any thread may take them."""
        for current in currents:
            flight = as_flight(current)
            self._backlog.keep(flight)
            self._end_probe(flight, is_done=False)
        if currents:
            self._control.leader.ring()

    # Any thread may call the following methods.

    def put_back(self, slot: Slot) -> None:
        """Put the event of `slot` and those that are ahead of it back into the backlog."""
        super().put_back(slot)
        if slot.runner.series is not None:
            slot.runner.series.take_back()  # So that the process begins none of them.
        for current in list(slot.ahead.values()):
            if current is not slot.in_flight:
                self._backlog.keep(as_flight(current))

    def queued(self) -> int:
        """Return the number of events that have been read and wait."""
        ahead = ((slot, each) for slot in self._crew.slots for each in list(slot.ahead.values()))
        return super().queued() + sum(each is not slot.in_flight for slot, each in ahead)
