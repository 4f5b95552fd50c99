"""The detour of Viz One's events: through a stage, together with replayed events.

The events of messages and the replayed events pass a stage (which looks them up, or lets files
settle) and are then written. A replay, if there is one, keeps track of all events: each has a
number from its beginning until it is done, so that the state file can follow. An event that the
stage drops is done for the broker, and counts as never begun for the replay.

A stage outlives a session, so it may return an event whose message was delivered by an earlier
one. That message cannot be acknowledged any more. The event is written all the same, with a duty of
its own, as replayed events have.

The thread that serves the session makes all calls, with one exception: a duty is settled in the
thread in which its acknowledgement arrives.
"""

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple, Protocol

from flowtools.ack.records import Reason
from flowtools.core.event import Event
from flowtools.core.wait import wait
from flowtools.source.delivery import Delivery, Duty, MessageDuty
from flowtools.stomp.frames import Frame

EXTRA = 64
"""Number of replayed events that are taken before the broker's events have their turn."""

_HEADERS = {"content-type": "application/cloudevents+json"}


class Keeper(Protocol):
    """A second source of events beside the broker, which also tracks the outcome of all events."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be something to take."""

    def start(self) -> None:
        """Begin: the broker has accepted the subscription."""

    def take(self, most: int) -> Sequence[tuple[Event, int]]:
        """Return up to `most` events to be written now, each with its number."""

    def begin(self, event: Event) -> int:
        """Note that an event from the broker is going to be written; return its number."""

    def done(self, numbers: Sequence[int]) -> None:
        """Note that the events with these numbers are done; any thread may call."""

    def forget(self, number: int) -> None:
        """Discard the event with this number, which is not wanted."""

    def end(self) -> None:
        """Note that a session has ended; outstanding events are replayed in the next one."""


class Ticket(NamedTuple):
    """The data that accompanies an event through a stage.

    Attributes:
        owner: The session that the event belongs to.
        duty: The duty to settle once the event is done or dropped.
        number: The keeper's number of the event, if there is a keeper.
    """

    owner: object
    duty: Duty | None = None
    number: int | None = None


class Stage(Protocol):
    """A processing stage on the way out, which may delay, change or drop events.

    It outlives a session; one thread calls all of it.
    """

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be something to take."""

    @property
    def room(self) -> int:
        """How many events it can take now."""

    def put(self, event: Event, ticket: Ticket) -> None:
        """Take an event."""

    def take(self, most: int) -> Sequence[tuple[Event | None, Ticket]]:
        """Return up to `most` events that are ready; None in place of one that is dropped."""

    def renew(self, *, forget: bool) -> None:
        """Note that a session begins; with `forget`, drop the events inside: they come again."""


class Passage:
    """A detour (source/serving.py) with a stage, a keeper, or both."""

    def __init__(self, stage: Stage | None, keeper: Keeper | None, prefetch: int) -> None:
        """Lead events through `stage`; `keeper` tracks them, with at most `prefetch` in flight."""
        self._stage = stage
        self._keeper = keeper
        self._prefetch = prefetch
        self._delivery: Delivery | None = None
        self._is_confirmed = False
        # Events in flight that no message brought: they count against the window as well.
        self._extra = 0
        self._counting = Lock()

    def descriptors(self) -> Sequence[int]:
        """Return the descriptors that are readable when `pump` may have something to write."""
        return [each.fileno() for each in (self._stage, self._keeper) if each is not None]

    def open(self, delivery: Delivery) -> None:
        """Begin a session, whose events are written to `delivery`."""
        self._is_confirmed = False
        with self._counting:
            self._delivery = delivery
            self._extra = 0

    def confirm(self) -> None:
        """Let the keeper read the missed changes: the broker has accepted the subscription."""
        self._is_confirmed = True
        if self._keeper is not None:
            self._keeper.start()

    @property
    def room(self) -> int:
        """How many events `put` can take now."""
        return self._stage.room if self._stage is not None else EXTRA

    def put(self, events: Sequence[Event], number: int) -> None:
        """Take the events of message `number`."""
        delivery = self._owner()
        keeper = self._keeper
        numbers = [keeper.begin(event) for event in events] if keeper is not None else []

        def settled() -> None:
            if keeper is not None:
                keeper.done(numbers)

        duty = MessageDuty(delivery.subscription, number, len(events), settled)
        for place, event in enumerate(events):
            self._pass(event, duty, numbers[place] if numbers else None)

    def pump(self, most: int | None) -> int:
        """Write the events that have passed the stage, then take events from the keeper."""
        passed = self._take_passed(EXTRA if most is None else min(EXTRA, most))
        return passed + self._take_extra(EXTRA if most is None else min(EXTRA, most - passed))

    def end(self) -> None:
        """End the session; without a keeper, events in the stage are written in the next one."""
        if self._keeper is not None:
            self._keeper.end()
        if self._stage is not None:
            self._stage.renew(forget=self._keeper is not None)

    def _owner(self) -> Delivery:
        assert self._delivery is not None
        return self._delivery

    def _pass(self, event: Event, duty: Duty, number: int | None) -> None:
        if self._stage is None:
            self._owner().write(event, duty)
        else:
            self._stage.put(event, Ticket(self._delivery, duty, number))

    def _take_passed(self, most: int) -> int:
        stage = self._stage
        if stage is None or not wait(stage, seconds=0):
            return 0
        delivery = self._owner()
        taken = stage.take(most)
        for event, ticket in taken:
            duty = ticket.duty
            if duty is None or ticket.owner is not delivery:
                # It is from an earlier session, whose message nobody can acknowledge any more.
                duty = self._extra_duty(event, None)
            if event is not None:
                delivery.write(event, duty)
                continue
            if ticket.number is not None and self._keeper is not None:
                self._keeper.forget(ticket.number)
            delivery.drop(duty)
        return len(taken)

    def _take_extra(self, most: int) -> int:
        """Take events from the keeper into the stage or the delivery; return how many."""
        keeper = self._keeper
        if keeper is None or not self._is_confirmed or not wait(keeper, seconds=0):
            return 0
        room = min(most, self.room)
        # The broker's prefetch does not limit these events, so they are counted here.
        if self._owner().in_worker_mode:
            room = min(room, self._prefetch - self._extra)
        if room <= 0:
            return 0
        taken = keeper.take(room)
        for event, number in taken:
            self._pass(event, self._extra_duty(event, number), number)
        return len(taken)

    def _extra_duty(self, event: Event | None, number: int | None) -> "_ExtraDuty":
        with self._counting:
            self._extra += 1
        return _ExtraDuty(self, self._owner(), event, number)

    def extra_is_over(self, owner: Delivery, number: int | None, *, done: bool) -> None:
        """Note that an event which no message brought is settled; any thread may call."""
        if done and number is not None and self._keeper is not None:
            self._keeper.done([number])
        with self._counting:
            if owner is self._delivery:  # Else `open` has begun to count anew.
                self._extra -= 1


class _ExtraDuty:
    """The duty of an event without a message: a message is made from it if it is rejected."""

    __slots__ = ("_event", "_number", "_owner", "_passage")

    def __init__(
        self, passage: Passage, owner: Delivery, event: Event | None, number: int | None
    ) -> None:
        self._passage = passage
        self._owner = owner
        self._event = event
        self._number = number

    def settle(self, done: bool, reason: Reason | None = None) -> None:
        """Note that the event is done, or move it to the dead letters."""
        if done or self._event is None:
            self._passage.extra_is_over(self._owner, self._number, done=done)
            return
        attributes = {k: v for k, v in self._event.attributes.items() if k != "ackto"}
        message = Frame(dict(_HEADERS), Event.of(attributes).encode())
        self._owner.subscription.bury(message, self._moved, reason)

    def _moved(self) -> None:
        self._passage.extra_is_over(self._owner, self._number, done=True)
