"""The messages of one session that are still to be acknowledged.

Two ways: `WrittenWindow` for --ack pipe, where writing a line is what counts, and
`WorkerWindow` for --ack worker, where somebody else says what became of each event. Both
move a refused message to the dead-letter destination as `Refusals` does (refusals.py).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Lock

from flowtools.ack.receiver import Ack
from flowtools.core.errors import ProtocolError
from flowtools.core.log import get_log
from flowtools.stomp.frames import Frame
from flowtools.stomp.refusals import Refusals
from flowtools.stomp.session import Session
from flowtools.stomp.transport import ConnectionLost

_log = get_log("flowtools.ack")


class WrittenWindow:
    """Messages that are acknowledged once their lines have been written; for one thread."""

    def __init__(self, session: Session, refusals: Refusals) -> None:
        self._session = session
        self._dialect = session.dialect
        self._refusals = refusals
        self._written: list[Frame] = []

    @property
    def size(self) -> int:
        """How many messages were added since the last `acknowledge`."""
        return len(self._written)

    def add(self, message: Frame) -> None:
        """Note that the lines of `message` are in the outlet's buffer."""
        self._written.append(message)

    def acknowledge(self) -> None:
        """Acknowledge what was added; its lines have been written.

        Not yet while a message is being moved: an acknowledgement may cover all before it.

        Raises:
            ConnectionLost: The connection has ended.
        """
        if not self._written or self._refusals.unanswered:
            return
        messages = self._written[-1:] if self._dialect.cumulative else self._written
        self._session.send(_acks(self._session, messages))
        self._written = []

    def refuse(self, message: Frame) -> None:
        """Move `message`; everything added before it has been acknowledged, or is held.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._session.send(self._refusals.begin(message))


@dataclass(slots=True)
class _Entry:
    message: Frame
    left: int
    refused: bool = False
    tokens: Sequence[int] = ()
    delivered: bool = True


class WorkerWindow:
    """Messages that are acknowledged once all their events are done.

    `add` is called by the thread that writes the lines, `settle` by the one that receives
    acknowledgements.

    Attributes:
        stale: How many acknowledgements were for events not waiting (any more).
    """

    def __init__(
        self,
        session: Session,
        refusals: Refusals,
        epoch: str,
        settled: Callable[[Sequence[int]], None] = lambda tokens: None,
    ) -> None:
        """Serve one session; `settled` is told the tokens of events that are done."""
        self.stale = 0
        self._settled = settled
        self._session = session
        self._refusals = refusals
        self._epoch = epoch
        self._in_order = not session.dialect.individual
        self._numbers = count(1)
        self._state = Lock()
        self._sending = Lock()
        self._sends = False
        self._waiting: dict[int, _Entry] = {}
        self._order: deque[_Entry] = deque()

    @property
    def outstanding(self) -> int:
        """How many events wait for their acknowledgement, or one more while that is sent."""
        return len(self._waiting) + self._sends

    @property
    def extra(self) -> int:
        """How many events wait that the broker has not delivered."""
        with self._state:
            return sum(1 for each in self._waiting.values() if not each.delivered)

    def add(
        self, message: Frame, events: int, tokens: Sequence[int] = (), *, delivered: bool = True
    ) -> list[int]:
        """Take `message` into the window; return the numbers of its `events`.

        `tokens` are theirs for whoever keeps count; one that was not `delivered` by the
        broker was made here, to hold what is to be moved if it is refused.
        """
        entry = _Entry(message, events, False, tokens, delivered)
        with self._state:
            numbers = [next(self._numbers) for _ in range(events)]
            for number in numbers:
                self._waiting[number] = entry
            if self._in_order and delivered:
                self._order.append(entry)
        return numbers

    def finish(self, message: Frame, *, refused: bool) -> None:
        """Acknowledge or move a message without events.

        Raises:
            ConnectionLost: The connection has ended.
        """
        with self._sending:
            with self._state:
                entry = _Entry(message, 0, refused)
                if self._in_order:
                    self._order.append(entry)
                done = self._releasable([entry])
            self._send(done)

    def settle(self, acks: list[Ack]) -> None:
        """Take acknowledgements; send the broker those that complete a message."""
        with self._sending:
            self._sends = True
            with self._state:
                done = self._releasable(self._completed(acks))
            try:
                self._settle_done(done)
                self._send(done)
            except (ConnectionLost, ProtocolError) as error:
                _log.debug("an acknowledgement came too late: %s", error)
            finally:
                self._sends = False

    def _completed(self, acks: list[Ack]) -> list[_Entry]:
        completed = []
        for epoch, number, done in acks:
            entry = self._waiting.pop(number, None) if epoch == self._epoch else None
            if entry is None:
                self.stale += 1
                continue
            entry.left -= 1
            entry.refused = entry.refused or not done
            if not entry.left:
                completed.append(entry)
        return completed

    def _settle_done(self, entries: list[_Entry]) -> None:
        tokens = [token for each in entries if not each.refused for token in each.tokens]
        if tokens:
            self._settled(tokens)

    def _releasable(self, completed: list[_Entry]) -> list[_Entry]:
        if not self._in_order:
            return completed
        released = [each for each in completed if not each.delivered]
        while self._order and not self._order[0].left:
            released.append(self._order.popleft())
        return released

    def _send(self, entries: list[_Entry]) -> None:
        if not entries:
            return
        session = self._session
        parts = []
        done: list[Frame] = []
        for entry in entries:
            if entry.refused:
                begun = self._refusals.begin(entry.message, entry.tokens, delivered=entry.delivered)
                parts += [_acks(session, done), begun]
                done = []
            elif entry.delivered:
                done.append(entry.message)
        if parts or done:
            session.send(b"".join([*parts, _acks(session, done)]))


def _acks(session: Session, messages: list[Frame]) -> bytes:
    ack_headers = session.dialect.ack_headers
    return "".join([f"ACK\n{ack_headers(message)}\n\0" for message in messages]).encode()
