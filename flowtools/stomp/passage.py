"""What else has a part in a subscription: events from beside the broker, a stage on their way."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from flowtools.ack.records import Ack
from flowtools.core.event import Event
from flowtools.stomp.frames import Frame
from flowtools.stomp.window import WorkerWindow, WrittenWindow

_EXTRA_HEADERS = {"content-type": "application/cloudevents+json"}


class Beside(Protocol):
    """What has events beside the broker's, and keeps count of what becomes of all."""

    def fileno(self) -> int:
        """Return what becomes readable when there may be something to take."""

    def start(self) -> None:
        """Begin: the broker has accepted the subscription."""

    def take(self, most: int) -> Sequence[tuple[Event, int]]:
        """Return up to `most` events to be written now, each with its token."""

    def begin(self, event: Event) -> int:
        """Note that an event of the broker's is going to be written; return its token."""

    def done(self, tokens: Sequence[int]) -> None:
        """Note that the events with these tokens are done; any thread may call."""

    def forget(self, token: int) -> None:
        """Note that the event with this token is neither done nor going to be: not wanted."""


class Keeper(Beside, Protocol):
    """What keeps count over all subscriptions."""

    def end(self) -> None:
        """Note that a subscription has ended: what is outstanding will be asked for again."""


@dataclass(slots=True)
class Passing:
    """A message some of whose events are still to be written."""

    message: Frame
    left: int


class Ticket(NamedTuple):
    """What is to be settled once an event is written, or dropped.

    Attributes:
        owner: Whose it is.
        token: What the keeper of the count calls the event.
        number: What the window calls it (worker mode).
        passing: The message that it came in (pipe mode), if in one.
    """

    owner: object
    token: int | None = None
    number: int | None = None
    passing: Passing | None = None


class Stage(Protocol):
    """What events pass on their way out: it may keep them, change them, or drop them.

    It outlives a subscription; one thread calls all of it.
    """

    def fileno(self) -> int:
        """Return what becomes readable when there may be something to take."""

    @property
    def room(self) -> int:
        """How many events it can take now."""

    def put(self, event: Event, ticket: Ticket) -> None:
        """Take an event."""

    def take(self, most: int) -> Sequence[tuple[Event | None, Ticket]]:
        """Return up to `most` events that are to be written now; None for one that is not."""

    def renew(self, *, forget: bool) -> None:
        """Note that a subscription begins; with `forget`, what is inside comes again."""


class Passage:
    """Takes the events of one subscription through a stage; for one thread.

    In pipe mode a message is acknowledged once it, and each before it, has nothing inside.

    Attributes:
        inside: How many of its events are in the stage.
    """

    def __init__(
        self,
        stage: Stage,
        written: WrittenWindow,
        worker: WorkerWindow | None,
        epoch: str,
        beside: Beside | None = None,
    ) -> None:
        """Prepare; `worker` makes it worker mode, whose connection is called `epoch`."""
        self.inside = 0
        self.stage = stage
        self._written = written
        self._worker = worker
        self._epoch = epoch
        self._beside = beside
        self._passing: deque[Passing] = deque()

    def put(
        self, events: Sequence[Event], message: Frame | None, tokens: Sequence[int] = ()
    ) -> None:
        """Send the events of a message on their way, or such without a message."""
        self.inside += len(events)
        known: Sequence[int | None] = tokens or [None] * len(events)
        if self._worker is not None:
            numbers = self._numbers(self._worker, events, message, tokens)
            pairs = zip(known, numbers, strict=True)
            tickets = [Ticket(self, token, number) for token, number in pairs]
        else:
            passing = None if message is None else Passing(message, len(events))
            if passing is not None:
                self._passing.append(passing)
            tickets = [Ticket(self, token, passing=passing) for token in known]
        for event, ticket in zip(events, tickets, strict=True):
            self.stage.put(event, ticket)
        self._release()

    def take(self, most: int, write: Callable[[Event, int | None], None]) -> list[int | None]:
        """Write up to `most` events with `write`, which is given each one's number, too.

        Returns:
            For each event its token, where it is done once what was written is flushed.
        """
        tokens: list[int | None] = []
        for event, ticket in self.stage.take(most):
            if ticket.owner is not self:
                # Of an earlier subscription, whose acknowledgements mean nothing any more.
                ticket = Ticket(self, number=self._adopt(event))
            else:
                self.inside -= 1
            if event is not None:
                write(event, ticket.number)
            else:
                self._drop(ticket)
            in_pipe_mode = self._worker is None and event is not None
            tokens.append(ticket.token if in_pipe_mode else None)
            if ticket.passing is not None:
                ticket.passing.left -= 1
        self._release()
        return tokens

    def _drop(self, ticket: Ticket) -> None:
        """Settle what nobody wants: for the broker it is done, for the count it never was."""
        if ticket.token is not None and self._beside is not None:
            self._beside.forget(ticket.token)
        if ticket.number is not None and self._worker is not None:
            self._worker.settle([Ack(self._epoch, ticket.number, True)])

    def _adopt(self, event: Event | None) -> int | None:
        if self._worker is None or event is None:
            return None
        return add_extra(self._worker, event)

    def _numbers(
        self,
        worker: WorkerWindow,
        events: Sequence[Event],
        message: Frame | None,
        tokens: Sequence[int],
    ) -> Sequence[int]:
        if message is not None:
            return worker.add(message, len(events), tokens)
        return [
            add_extra(worker, event, token) for event, token in zip(events, tokens, strict=True)
        ]

    def _release(self) -> None:
        while self._passing and not self._passing[0].left:
            self._written.add(self._passing.popleft().message)


def add_extra(worker: WorkerWindow, event: Event, *tokens: int) -> int:
    """Take an event that the broker has not delivered into the window; return its number."""
    message = Frame(dict(_EXTRA_HEADERS), event.encode())
    return worker.add(message, 1, tokens, delivered=False)[0]
