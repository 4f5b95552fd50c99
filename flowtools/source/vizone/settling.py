"""A stage that holds a file's event until the file's size has not changed for a while.

A file that is being written causes several events, of which the last one counts. Each new event
replaces the held one, whose message is then done. When the size has not changed for long enough,
the server is asked for it once more, because a message may be lost or delayed.

`start` starts the threads that ask. `close` tells them to end, which each does after its current
request. A file may get a new event while a thread asks about it: the answer is then dropped.
"""

import heapq
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from threading import Condition, Thread
from threading import Event as Flag
from time import monotonic

from flowtools.core.event import Event
from flowtools.core.kind import Kind
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Wake
from flowtools.source.vizone.entries import key_of, modified
from flowtools.source.vizone.lookup import ANSWER, Ask, patiently
from flowtools.source.vizone.passage import Ticket
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client

THREADS = 4
"""Maximum number of requests at a time."""

MOST = 10_000
"""Maximum number of files held at a time, and of recently written files that are remembered."""

_log = get_log("flowtools.source.vizone.settling")


@dataclass
class _Kept:
    """A held event.

    Attributes:
        event: The event as it will be written.
        key: The key of the event as it came, before the server's answer was added.
        ticket: What accompanies the event.
        due: The monotonic time at which its size has been unchanged for long enough.
    """

    event: Event
    key: str
    ticket: Ticket
    due: float


class Settling:
    """A stage that holds the events of growing files, and drops duplicates."""

    def __init__(
        self, account: Account, seconds: float, ask: Ask, hosts: frozenset[str] = frozenset()
    ) -> None:
        """Prepare.

        Args:
            account: The Viz One, and the login there.
            seconds: Seconds that a size must be unchanged; 0: nothing is held, nothing is asked.
            ask: Returns the event of a file as it is now; None: it is not wanted.
            hosts: Further hosts that may be asked if a link leads there.
        """
        self._client = Client(account, seconds=ANSWER, hosts=hosts)
        self._seconds = seconds
        self._ask = ask
        self._wake = Wake()
        self._changed = Condition()
        self._kept: dict[str, _Kept] = {}
        self._due: list[tuple[float, int, str, _Kept]] = []
        self._numbers = count()
        self._ready: deque[tuple[Event | None, Ticket]] = deque()
        self._written: OrderedDict[str, str] = OrderedDict()
        self._ending = Flag()

    def start(self) -> None:
        """Start the threads."""
        for _ in range(THREADS if self._seconds else 0):
            start_thread(Thread(target=self._run, name="settling", daemon=True))

    def close(self) -> None:
        """Tell the threads to end, without waiting for them."""
        self._ending.set()
        with self._changed:
            self._changed.notify_all()

    def fileno(self) -> int:
        """Return a descriptor that is readable when there may be something to take."""
        return self._wake.fileno()

    @property
    def room(self) -> int:
        """How many events it can take now."""
        return MOST - len(self._kept) - len(self._ready)

    def put(self, event: Event, ticket: Ticket) -> None:
        """Take an event, which replaces a held event of the same file."""
        name, key = _name(event), key_of(event)
        with self._changed:
            before = self._kept.get(name)
            # Messages may overtake each other, and a replay may repeat what a message brought.
            is_late = before is not None and _is_older(event, before.event)
            is_known = event.get("updated") is not None and self._written.get(name) == key
            if is_late or is_known:
                self._let_go(None, ticket)
                return
            if before is not None:
                # None instead of an event: its message is acknowledged, and nothing is written.
                self._let_go(None, self._kept.pop(name).ticket)
            if Kind.of(event.type) is Kind.DELETED:
                self._written.pop(name, None)
                self._let_go(event, ticket)
            elif not self._seconds:
                self._write(name, _Kept(event, key, ticket, 0.0))
            else:
                is_still = before is not None and before.event.get("size") == event.get("size")
                due = before.due if before is not None and is_still else self._later()
                self._keep(name, _Kept(event, key, ticket, due))

    def take(self, most: int) -> Sequence[tuple[Event | None, Ticket]]:
        """Return up to `most` events whose time has come."""
        self._wake.clear()
        with self._changed:
            taken = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
            if self._ready:
                self._wake.ring()
        return taken

    def renew(self, *, forget: bool) -> None:
        """Note that a subscription begins; `forget` drops the events inside, which come again."""
        with self._changed:
            # Events that were written may not have been done, and then come again.
            self._written.clear()
            if forget:
                self._kept.clear()
                self._due.clear()
                self._ready.clear()

    def _later(self) -> float:
        return monotonic() + self._seconds

    def _keep(self, name: str, kept: _Kept) -> None:
        self._kept[name] = kept
        heapq.heappush(self._due, (kept.due, next(self._numbers), name, kept))
        self._changed.notify()

    def _write(self, name: str, kept: _Kept) -> None:
        # The key of the event as it came: a repeated message does not have the server's answer.
        self._written[name] = kept.key
        self._written.move_to_end(name)
        if len(self._written) > MOST:
            self._written.popitem(last=False)
        self._let_go(kept.event, kept.ticket)

    def _let_go(self, event: Event | None, ticket: Ticket) -> None:
        self._ready.append((event, ticket))
        self._wake.ring()

    def _run(self) -> None:
        while (found := self._next()) is not None:
            name, kept = found
            try:
                now = patiently(self._ask, self._client, kept.event, self._ending)
            except Exception:  # noqa: BLE001  the thread serves all: it goes on
                _log.exception("an internal error in asking about a file")
                now = kept.event
            self._judge(name, kept, now)

    def _next(self) -> tuple[str, _Kept] | None:
        """Wait for the next file whose size has not changed for long enough; None at the end."""
        with self._changed:
            while not self._ending.is_set():
                pause = self._due[0][0] - monotonic() if self._due else None
                if pause is not None and pause <= 0:
                    _, _, name, kept = heapq.heappop(self._due)
                    # Items of the heap are not removed when an event is replaced: skip them.
                    if self._kept.get(name) is kept:
                        return name, kept
                else:
                    self._changed.wait(pause)
            return None

    def _judge(self, name: str, kept: _Kept, now: Event | None) -> None:
        with self._changed:
            if self._ending.is_set() or self._kept.get(name) is not kept:
                return  # A newer message has replaced it, and has a time of its own.
            if now is None or Kind.of(now.type) is Kind.DELETED:
                del self._kept[name]
                self._let_go(now, kept.ticket)
            elif now.get("size") == kept.event.get("size"):
                del self._kept[name]
                self._write(name, replace(kept, event=now))
            else:
                self._keep(name, replace(kept, event=now, due=self._later()))


def _name(event: Event) -> str:
    return str(event.get("id") or event.subject)


def _is_older(one: Event, other: Event) -> bool:
    """Return whether both say when their file was updated, and `one` an earlier time."""
    ours, theirs = modified(one), modified(other)
    return ours is not None and theirs is not None and ours < theirs
