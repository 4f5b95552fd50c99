"""A stage that asks Viz One about each event before it is written.

Several threads ask at the same time, and the events keep their order. So an event whose link leads
nowhere would block all events after it. After PATIENCE it is therefore written unchanged, with the
reason as its attribute `metadataerror`.

`start` starts the threads. `close` tells them to end, which each does after its current request.
"""

import queue
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event as Flag
from threading import Thread
from time import monotonic

from flowtools.core.cloudevents import clean
from flowtools.core.errors import FlowError, UnreachableError
from flowtools.core.event import Event
from flowtools.core.lines import MAX_LINE
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.toolong import exceeds
from flowtools.core.wait import Wake
from flowtools.source.vizone.passage import Ticket
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client

THREADS = 8
"""Maximum number of requests at a time."""

MOST = 64
"""Maximum number of events inside the stage."""

LONGEST_PAUSE = 8.0
"""Maximum pause before an unreachable server is asked again, in seconds."""

PATIENCE = 30.0
"""Seconds after which the lookup of an event is given up, because later events wait for it."""

ANSWER = 15.0
"""Time-out of a request, in seconds."""

MOST_REASON = 500
"""Maximum length of the attribute `metadataerror`, in characters."""

Ask = Callable[[Client, Event], Event | None]
"""Looks an event up; returns the event to be written, or None if it is not wanted."""

_log = get_log("flowtools.source.vizone.lookup")


class _Item:
    def __init__(self, event: Event, ticket: Ticket) -> None:
        self.event: Event | None = event
        self.ticket = ticket
        self.done = False


class Lookup:
    """A stage that looks up each event; an unreachable server is asked again for a while."""

    def __init__(self, account: Account, ask: Ask, hosts: frozenset[str] = frozenset()) -> None:
        """Prepare to look events up with `ask`.

        Args:
            account: The Viz One, and the login there.
            ask: Looks an event up.
            hosts: Further hosts that may be asked if a link leads there.
        """
        self._client = Client(account, seconds=ANSWER, hosts=hosts)
        self._ask = ask
        self._wake = Wake()
        self._inside: deque[_Item] = deque()
        self._to_do: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._ending = Flag()

    def start(self) -> None:
        """Start the threads."""
        for _ in range(THREADS):
            start_thread(Thread(target=self._run, name="lookup", daemon=True))

    def close(self) -> None:
        """Tell the threads to end, without waiting for them."""
        self._ending.set()
        for _ in range(THREADS):
            self._to_do.put(None)

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be something to take."""
        return self._wake.fileno()

    @property
    def room(self) -> int:
        """How many events it can take now."""
        return MOST - len(self._inside)

    def put(self, event: Event, ticket: Ticket) -> None:
        """Take an event."""
        item = _Item(event, ticket)
        self._inside.append(item)
        self._to_do.put(item)

    def take(self, most: int) -> Sequence[tuple[Event | None, Ticket]]:
        """Return up to `most` events whose turn it is."""
        self._wake.clear()
        taken: list[tuple[Event | None, Ticket]] = []
        # Only from the front: an event that is ready waits for those before it.
        while self._inside and self._inside[0].done:
            if len(taken) == most:
                self._wake.ring()
                break
            item = self._inside.popleft()
            taken.append((item.event, item.ticket))
        return taken

    def renew(self, *, forget: bool) -> None:
        """Note that a subscription begins; `forget` drops the events inside, which come again."""
        if forget:
            self._inside.clear()

    def _run(self) -> None:
        while (item := self._to_do.get()) is not None and not self._ending.is_set():
            assert item.event is not None
            try:
                item.event = patiently(self._ask, self._client, item.event, self._ending)
            except Exception:  # noqa: BLE001  the thread serves all: it goes on
                _log.exception("an internal error in asking about an event")
            # In this order: the thread that is woken looks at `done`.
            item.done = True
            self._wake.ring()


def patiently(ask: Ask, client: Client, event: Event, ending: Flag) -> Event | None:
    """Return the result of `ask`, called again for up to PATIENCE or until `ending` is set.

    If the server does not answer, or its answer makes the event longer than the next command
    accepts, the event is returned as it came, with the attribute `metadataerror`, and there is a
    warning.
    """
    pause = 0.5
    ends_at = monotonic() + PATIENCE
    while True:
        try:
            asked = ask(client, event)
            too_long = asked and exceeds(asked.encode(), MAX_LINE)
            return _unasked(event, too_long) if too_long else asked
        except UnreachableError as error:
            if monotonic() + pause >= ends_at:
                return _unasked(event, f"{error}; gives up")
            _log.warning("cannot look up '%s': %s; trying again", event.subject, error)
        except FlowError as error:
            return _unasked(event, str(error))
        if ending.wait(pause):
            return event
        pause = min(2 * pause, LONGEST_PAUSE)


def _unasked(event: Event, reason: str) -> Event:
    _log.warning("cannot look up '%s': %s; the event is written unchanged", event.subject, reason)
    event.attributes["metadataerror"] = clean(reason[:MOST_REASON])
    return event
