"""An event in flight, and who decides what becomes of its attempt.

Each thread of a pool has a `Slot`. Its attempt may end by itself, or be claimed by the watchdog
when its time is up. That is settled without a lock. When `start` has returned, the thread takes
the deadline away and then looks for a claim; when the time is up, the watchdog puts a claim and
then looks whether the deadline is still there. So one of the two sees the other in any case: a
claim that found the deadline stands, and the thread will find it; one that did not is withdrawn.

This assumes two things of the interpreter. Each store to an attribute is seen by the other thread
after those that came before it in the program, and `list.pop` gives an item to one caller only.
CPython's global interpreter lock gives both, as one thread at a time runs Python code. Without
that lock neither has been proved here, so cli/command.py refuses a free-threaded Python.
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
from flowtools.core.tracing import note_traces_of_all
from flowtools.pool.batch import Batch, about_all
from flowtools.pool.outcome import Outcome
from flowtools.pool.runner import Runner
from flowtools.process.overheard import inherited
from flowtools.worker.batch import Events

Line = tuple[int, bytes, float]
"""A line just read: its number, from 1; the line, perhaps with its newline; since when it waits."""


class InFlight:
    """One event on its way through the pool.

    Attributes:
        event: The decoded event.
        line: The input line, without its end.
        number: The line's place in the input, from 1.
        since: When it began to wait for a thread, in seconds of `time.monotonic()`.
        read: When its line was read, in the same seconds.
        attempt: 1 for the first try.
        key: What `--key` gave for it, or None.
        runs_alone: It gets no other event beside it: a batch has failed as a whole with it.
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
        """Seconds since the event's `time`, or since it was read where that says nothing."""
        moment = happened_at(self.event)
        return monotonic() - self.read if moment is None else max(0.0, time() - moment)

    @property
    def label(self) -> str:
        """What to call the event in a message: its subject, else its id."""
        return str(self.event.subject or self.event.id)


def about(attributes: dict[str, Any], attempt: int) -> About:
    """Return what to say of an attempt; a Worker may have done anything to the attributes."""
    subject = attributes.get("subject")
    identity = str(attributes.get("id", "?"))
    return About(identity, None if subject is None else str(subject), attempt)


class Claim:
    """The watchdog's decision on an attempt.

    Attributes:
        verdict: What it is to become of the attempt.
        at: When that was decided, in seconds of `time.monotonic()`.
        stands: The attempt had not ended: the verdict counts.
        withdrawn: The attempt had ended before: the verdict is void.
        interrupted: The thread has been told.
    """

    __slots__ = ("_settler", "at", "interrupted", "stands", "verdict", "withdrawn")

    def __init__(self, verdict: Outcome, at: float) -> None:
        self.verdict = verdict
        self.at = at
        self.stands = self.withdrawn = self.interrupted = False
        self._settler = [None]

    def is_mine(self) -> bool:
        """Return whether the caller is to settle the attempt: who asks first is."""
        try:
            self._settler.pop()
        except IndexError:
            return False
        return True


class Slot:
    """One place of the pool's width: its thread, and what that runs.

    Attributes:
        is_busy: The thread takes events, and has not yet found that there are none.
        in_flight: What `event` was made from; None between two events.
        event: What the Worker has, or had last: an event, or those of a batch.
        deadline: Of the attempt while `start` runs, in seconds of `time.monotonic()`; then None.
        claim: The watchdog's, if there is one.
        started: When the attempt began, in seconds of `time.monotonic()`.
        done: How many events ended here that the settlement has not counted.
        ended: The thread has.
        is_traced: The Worker may have left a trace or profile function in the thread.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.attribute_to(self.about)
        self.thread: threading.Thread | None = None
        self.is_busy = False
        self.in_flight: Line | InFlight | Batch[InFlight] | None = None
        self.event: Event | Events | None = None
        self.deadline: float | None = None
        self.claim: Claim | None = None
        self.started = 0.0
        self.done = 0
        self.ended = self.is_traced = False

    @property
    def flight(self) -> "InFlight | Batch[InFlight] | None":
        """What runs. An InFlight is made only for who asks: most events need none."""
        in_flight = self.in_flight
        if in_flight is None or isinstance(in_flight, InFlight | Batch):
            return in_flight
        number, text, since = in_flight
        line = without_end(text)
        # Not from `event`, which the Worker may have changed.
        return InFlight(decode(line, number), line, number, since)

    def about(self, *, is_last: bool = False) -> About | None:
        """Return which attempt runs, for what is said meanwhile; None: none does.

        `is_last`: or which one ran last.
        """
        flight = self.flight
        if isinstance(flight, Batch):
            return about_all(flight.events, flight.flights[0].attempt)
        if flight is not None:
            return about(flight.event.attributes, flight.attempt)
        if not is_last or self.event is None:
            return None
        if isinstance(self.event, Events):
            return about_all(self.event)
        attributes = self.event.attributes
        return about(attributes if isinstance(attributes, dict) else {}, 1)

    @property
    def labels(self) -> list[str]:
        """What to call each event that runs."""
        flight = self.flight
        if isinstance(flight, Batch):
            return [each.label for each in flight.flights]
        return [flight.label] if flight is not None else []

    @property
    def ages(self) -> list[float]:
        """The age of each event that runs, in seconds."""
        flight = self.flight
        if isinstance(flight, Batch):
            return [each.age for each in flight.flights]
        return [flight.age] if flight is not None else []

    def put(self, claim: Claim, deadline: float) -> bool:
        """Claim the attempt that has `deadline`, which is not None; return whether that stands."""
        self.claim = claim
        # The same object, not the same time: the next attempt may have that, too.
        if self.deadline is deadline:
            claim.stands = True
            return True
        self.claim = None
        claim.withdrawn = True
        return False

    def is_claimed(self) -> bool:
        """Return whether the attempt is the watchdog's; called once it has no deadline."""
        while (claim := self.claim) is not None and not claim.withdrawn:
            if claim.stands:
                return True
            sleep(0)  # It is being decided.
        return False


class Crew:
    """The threads of a pool, each with its slot. Safe from any thread.

    Attributes:
        slots: One for each thread of the pool's width.
        abandoned: Slots whose thread is stuck and has been replaced.
        serving: Threads that have not ended; a stuck one counts once, with its replacement.
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
        note_traces_of_all()
        if not _Traces.are_noted:
            _Traces.are_noted = True
            sys.addaudithook(_note_trace)

    def disown(self) -> None:
        """Let no thread settle what it runs, or take anything more: it ends instead."""
        for slot in self.slots:
            slot.claim = claim = Claim(Outcome.CANCELLED, monotonic())
            claim.stands = claim.interrupted = True
            claim.is_mine()  # Nobody else's, from now on.

    def join(self) -> bool:
        """Wait for the threads that have ended; return whether that is all of them."""
        for slot in self._all():
            if slot.ended and slot.thread is not None and slot.thread.ident is not None:
                slot.thread.join()
        return all(slot.ended for slot in self._all())

    def note_end(self) -> bool:
        """Count one thread less; return whether it was the last."""
        with self._counting:
            self.serving -= 1
            return not self.serving

    def is_busy(self) -> bool:
        """Return whether a thread takes events, or runs one."""
        # The last to start are the last to end: from there a busy one is found soonest.
        return any(slot.is_busy for slot in reversed(self.slots))

    def stuck(self) -> int:
        """Return how many abandoned threads have not ended."""
        return sum(not slot.ended for slot in self.abandoned)

    def running(self) -> list[tuple[str, float]]:
        """Return what runs: the event's label, and for how many seconds."""
        now = monotonic()
        busy = [(slot.labels, now - slot.started) for slot in self.slots]
        return [(label, seconds) for labels, seconds in busy for label in labels]

    def lag(self) -> float | None:
        """Return the age of the oldest event that runs, in seconds; None where nothing runs."""
        return max((age for slot in self.slots for age in slot.ages), default=None)

    def whose(self) -> About | None:
        """Return which attempt the calling thread works for, for what it writes.

        That is the one that it runs, or that was running in the thread by which it was started.
        Where nobody knows, it is the one that runs, if there is only one.
        """
        me, running = threading.get_ident(), []
        for slot in self._all():
            about = slot.about()
            if about is None:
                continue
            if slot.thread is not None and slot.thread.ident == me:
                return about
            running.append(about)
        started_by = inherited()
        if started_by in running:
            return started_by
        if not running and len(self.slots) == 1:
            return self.slots[0].about(is_last=True)  # A program's last words come late.
        return running[0] if len(running) == 1 else None

    def _all(self) -> Iterator[Slot]:
        yield from list(self.slots)
        yield from list(self.abandoned)


_crews: WeakSet[Crew] = WeakSet()


class _Traces:
    are_noted = False


def _note_trace(event: str, arguments: tuple[Any, ...]) -> None:
    """Note that a Worker sets a trace function: an audit hook, called in its thread.

    To ask after each attempt whether there is one would cost every event.
    """
    if event in ("sys.settrace", "sys.setprofile"):
        me = threading.current_thread()
        for crew in _crews:
            for slot in crew.slots:
                if slot.thread is me:
                    slot.is_traced = True


def _disown_copies() -> None:
    """End a copy of this process when the attempt that has made it returns.

    A Worker may call `os.fork()` and let the copy return from `start`, or raise. The copy has the
    thread that forked, with all that it has in hand: it would settle the event a second time, take
    lines away from the real pool, and acknowledge them.
    """
    for crew in _crews:
        crew.disown()


os.register_at_fork(after_in_child=_disown_copies)
