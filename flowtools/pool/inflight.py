"""An event in flight, and the decision whether its thread or the watchdog settles the attempt.

Each thread of a pool has a `Slot`. Its attempt may end by itself, or the watchdog may claim it
after its deadline. This race is decided without a lock. When `start` has returned, the thread first
removes the deadline and then looks for a claim. After the deadline, the watchdog first puts a claim
and then checks that the deadline is still there. So at least one of the two always sees the other.
A claim that found the deadline takes effect, and the thread will see it; otherwise the claim is
withdrawn. If either side did its two steps in the other order, an event could be settled twice.

This relies on two properties of the interpreter. Another thread sees the stores to attributes in
the order of the program, and `list.pop` gives an item to only one caller. CPython's global
interpreter lock guarantees both, since only one thread at a time runs Python code. Without that
lock neither has been proved here, so cli/command.py refuses a free-threaded Python.
"""

import os
import sys
import threading
from collections.abc import Iterator
from time import monotonic, sleep, time
from typing import Any
from weakref import WeakSet

from flowtools.core.event import Event, decode
from flowtools.core.lines import without_end
from flowtools.core.log import About
from flowtools.core.times import happened_at
from flowtools.pool.batch import Batch, about_all
from flowtools.pool.outcome import Outcome
from flowtools.pool.runner import Runner
from flowtools.process.overheard import inherited
from flowtools.worker.batch import Events

Line = tuple[int, bytes, float, Any, bool]
"""A line just read: its number, from 1; its bytes, perhaps with newline; the time it was read; the
attributes of its event as a dict, None if they must be decoded; whether they are known and have no
`ackto` (flowtools.core.usual)."""


class InFlight:
    """One event in flight.

    Attributes:
        event: The decoded event.
        line: The input line, without its newline.
        number: The number of the line in the input, from 1.
        since: The time since when it waits for a thread, in seconds of `time.monotonic()`.
        read: The time at which its line was read, in the same seconds.
        attempt: The number of the attempt, from 1.
        key: The event's `--key`, or None.
        runs_alone: Whether it runs without other events, since a batch with it failed as a whole.
    """

    __slots__ = ("attempt", "event", "key", "line", "number", "read", "runs_alone", "since")

    def __init__(
        self,
        event: Event,
        line: bytes,
        number: int,
        since: float,
        attempt: int = 1,
        key: str | None = None,
    ) -> None:
        self.event = event
        self.line = line
        self.number = number
        self.since = self.read = since
        self.attempt = attempt
        self.key = key
        self.runs_alone = False

    @property
    def age(self) -> float:
        """Seconds since the event's `time`, or since it was read if it has no valid time."""
        moment = happened_at(self.event)
        return monotonic() - self.read if moment is None else max(0.0, time() - moment)

    @property
    def label(self) -> str:
        """The name of the event in messages: its subject, or else its id."""
        return str(self.event.subject or self.event.id)


def as_flight(current: InFlight | Line) -> InFlight:
    """Return an event as an InFlight; a line is decoded."""
    if isinstance(current, InFlight):
        return current
    number, text, since, _, _ = current
    line = without_end(text)
    # Decoded again, since the Worker may have changed its own event.
    return InFlight(decode(line, number), line, number, since)


def about(attributes: dict[str, Any], attempt: int) -> About:
    """Return a description of an attempt; a Worker may have changed the attributes in any way."""
    subject = attributes.get("subject")
    identity = str(attributes.get("id", "?"))
    return About(identity, None if subject is None else str(subject), attempt)


def _attempt_of(flight: "InFlight | Batch[InFlight] | None") -> int:
    if isinstance(flight, Batch):
        flight = flight.flights[0]
    return 1 if flight is None else flight.attempt


class Claim:
    """The watchdog's decision on an attempt.

    Attributes:
        verdict: The outcome that the watchdog gives to the attempt.
        at: The time of the decision, in seconds of `time.monotonic()`.
        stands: True once the claim takes effect: the attempt had not ended.
        withdrawn: True once the claim is void: the attempt had ended before.
        interrupted: True once the thread has been interrupted.
    """

    __slots__ = ("_settler", "at", "interrupted", "stands", "verdict", "withdrawn")

    def __init__(self, verdict: Outcome, at: float) -> None:
        self.verdict = verdict
        self.at = at
        self.stands = self.withdrawn = self.interrupted = False
        self._settler = [None]  # One item: the caller that pops it settles.

    def is_mine(self) -> bool:
        """Return whether the caller has to settle the attempt; True only for the first caller."""
        try:
            self._settler.pop()
        except IndexError:
            return False
        return True


class Slot:
    """One of the pool's -j places: its thread, and the event or batch that it runs.

    Attributes:
        has_begun: Whether the thread has begun with `Pool.work`.
        is_busy: Whether the thread takes events, and has not yet found that there are none.
        in_flight: The line, event or batch that `event` was made from; None between two events.
        event: The event, or the events of a batch, that the Worker has or had last.
        deadline: The deadline of the attempt while `start` runs, in seconds of
            `time.monotonic()`; otherwise None.
        claim: The watchdog's claim, if there is one.
        started: The time at which the attempt began, in seconds of `time.monotonic()`.
        done: Number of events that ended here and that the settlement has not yet counted.
        ended: Whether the thread has ended.
        is_traced: Whether the Worker may have left a trace or profile function in the thread.
        ahead: The events of a series (see series.py) that are not answered, by their number.
        ended_as: The event or batch whose attempt ended last, and the number of that attempt;
            noted only if the number may be more than 1 or the event may be retried.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.attribute_to(self.about)
        self.thread: threading.Thread | None = None
        self.has_begun = self.is_busy = False
        self.in_flight: Line | InFlight | Batch[InFlight] | None = None
        self.event: Event | Events | None = None
        self.deadline: float | None = None
        self.claim: Claim | None = None
        self.started = 0.0
        self.done = 0
        self.ended = self.is_traced = False
        self.ahead: dict[int, InFlight | Line] = {}
        self.ended_as: tuple[Event | Events, int] | None = None

    @property
    def flight(self) -> "InFlight | Batch[InFlight] | None":
        """The running event or batch. An InFlight is made only here: most events need none."""
        in_flight = self.in_flight
        return (
            in_flight if in_flight is None or isinstance(in_flight, Batch) else as_flight(in_flight)
        )

    def about(self, *, is_last: bool = False) -> About | None:
        """Return a description of the running attempt; None if there is none.

        With `is_last`, the last attempt counts if none is running.
        """
        flight, event = self.flight, self.event
        number = _attempt_of(flight)
        # Settling counts the attempt, so the flight may already have the number of the next one.
        if self.ended_as is not None and self.ended_as[0] is event:
            number = self.ended_as[1]
        if isinstance(flight, Batch):
            return about_all(flight.events, number)
        if flight is not None:
            return about(flight.event.attributes, number)
        if not is_last or event is None:
            return None
        if isinstance(event, Events):
            return about_all(event, number)
        return about(event.attributes if isinstance(event.attributes, dict) else {}, number)

    def end_attempt(self) -> "InFlight | Batch[InFlight] | None":
        """Note the number of the attempt that has ended; return its event or batch."""
        flight = self.flight
        if self.event is not None:
            self.ended_as = self.event, _attempt_of(flight)
        return flight

    @property
    def labels(self) -> list[str]:
        """The name of each running event, for messages."""
        flight = self.flight
        if isinstance(flight, Batch):
            return [each.label for each in flight.flights]
        return [flight.label] if flight is not None else []

    @property
    def ages(self) -> list[float]:
        """The age of each running event, in seconds."""
        flight = self.flight
        if isinstance(flight, Batch):
            return [each.age for each in flight.flights]
        return [flight.age] if flight is not None else []

    def put(self, claim: Claim, deadline: float) -> bool:
        """Claim the attempt that has `deadline`, not None; return whether the claim stands."""
        self.claim = claim
        # Compared by identity: the next attempt may have an equal deadline.
        if self.deadline is deadline:
            claim.stands = True
            return True
        self.claim = None
        claim.withdrawn = True
        return False

    def is_claimed(self) -> bool:
        """Return whether the watchdog has claimed the attempt; call after removing `deadline`."""
        while (claim := self.claim) is not None and not claim.withdrawn:
            if claim.stands:
                return True
            sleep(0)  # Lets the watchdog run, which is about to decide in `put`.
        return False


class Crew:
    """The threads of a pool, each with its slot. Safe from any thread.

    Attributes:
        slots: The slots of the pool's -j threads.
        abandoned: Slots whose thread is stuck and has been replaced.
        serving: Number of threads that have not ended; a stuck one and its replacement count once.
    """

    def __init__(self) -> None:
        self.slots: list[Slot] = []
        self.abandoned: list[Slot] = []
        self.serving = 0
        self._counting = threading.Lock()

    def man(self, slots: list[Slot]) -> None:
        """Begin with these slots; their threads are about to start."""
        self.slots[:] = slots
        self.serving = len(slots)
        _crews.add(self)
        if not _Traces.are_noted:
            # Once for the process, however many pools it makes: a hook cannot be removed.
            _Traces.are_noted = True
            sys.addaudithook(_note_trace)

    def disown(self) -> None:
        """Make each thread end without settling what it runs and without taking more."""
        for slot in self.slots:
            slot.claim = claim = Claim(Outcome.CANCELLED, monotonic())
            claim.stands = claim.interrupted = True
            claim.is_mine()  # Taken here, so that no other caller gets True.

    def join(self) -> bool:
        """Join the threads that have ended; return whether all of them have."""
        for slot in self._all():
            if slot.ended and slot.thread is not None and slot.thread.ident is not None:
                slot.thread.join()
        return all(slot.ended for slot in self._all())

    def note_end(self) -> bool:
        """Note that a thread has ended; return whether it was the last one."""
        with self._counting:
            self.serving -= 1
            return not self.serving

    def is_busy(self) -> bool:
        """Return whether any thread takes events or runs one."""
        # The threads that started last end last: from there a busy one is found soonest.
        return any(slot.is_busy for slot in reversed(self.slots))

    def stuck(self) -> int:
        """Return the number of abandoned threads that have not ended."""
        return sum(not slot.ended for slot in self.abandoned)

    def running(self) -> list[tuple[str, float]]:
        """Return the label of each running event, and for how many seconds it has been running."""
        now = monotonic()
        busy = [(slot.labels, now - slot.started) for slot in self.slots]
        return [(label, seconds) for labels, seconds in busy for label in labels]

    def last_start(self) -> float:
        """Return when an attempt began last (`time.monotonic`); 0.0 before the first."""
        return max((slot.started for slot in self._all()), default=0.0)

    def lag(self) -> float | None:
        """Return the age of the oldest running event, in seconds; None if nothing runs."""
        return max((age for slot in self.slots for age in slot.ages), default=None)

    def whose(self) -> About | None:
        """Return the attempt that the calling thread works for, to attribute what it writes.

        This is the attempt that the thread runs, or that ran in the thread that started it. If
        neither is known, it is the only running attempt, if there is just one.
        """
        me, running = threading.get_ident(), []
        for slot in self._all():
            about = slot.about()
            if about is None:
                continue
            if slot.thread is not None and slot.thread.ident == me:
                return about
            running.append(about)
        started_by = inherited()  # For a thread that the Worker has started itself.
        if started_by in running:
            return started_by
        if not running and len(self.slots) == 1:
            return self.slots[0].about(is_last=True)  # A program's last output may come late.
        return running[0] if len(running) == 1 else None

    def _all(self) -> Iterator[Slot]:
        yield from list(self.slots)
        yield from list(self.abandoned)


# Weak, so that a pool which has ended is not kept for the hooks below.
_crews: WeakSet[Crew] = WeakSet()


class _Traces:
    are_noted = False


def _note_trace(event: str, arguments: tuple[Any, ...]) -> None:
    """Note that a Worker sets a trace function: an audit hook, called in its thread.

    Asking after each attempt whether there is one would take time for every event.
    """
    if event in ("sys.settrace", "sys.setprofile"):
        me = threading.current_thread()
        for crew in _crews:
            for slot in crew.slots:
                if slot.thread is me:
                    slot.is_traced = True


def _disown_copies() -> None:
    """Make a forked copy of this process end when the attempt that forked it returns.

    A Worker may call `os.fork()` and let the copy return from `start` or raise. The copy has the
    thread that forked, with its slot and its event. Without this it would settle the event a
    second time, take lines away from the real pool, and acknowledge them.
    """
    for crew in _crews:
        crew.disown()


os.register_at_fork(after_in_child=_disown_copies)
