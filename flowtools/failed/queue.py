"""A dead-letter queue: its events are shown without being consumed, and removed one by one.

Showing events consumes nothing (stomp/look.py). To replay or drop events, all messages of the queue
are held without being acknowledged. Those whose events are done are acknowledged, and the broker
puts all others back into their places when the connection ends. Messages that arrive meanwhile are
ignored: otherwise a replay whose events fail again into the same queue would never end.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from flowtools.core.spool import Spool
from flowtools.core.wait import HasFileno, Stop
from flowtools.failed.record import Record, read_record
from flowtools.pool.failed import ERROR, FAILED_AT
from flowtools.stomp.dialect import death_of
from flowtools.stomp.look import Look, looking
from flowtools.stomp.message import Message, event_of
from flowtools.stomp.settings import Looking, Settings
from flowtools.stomp.url import BrokerURL


class FailedQueue:
    """The failed events of the queue at `url`: a `Store` (store.py)."""

    def __init__(
        self,
        url: BrokerURL,
        settings: Settings,
        *,
        headers: Mapping[str, str] | None = None,
        idle: float | None = None,
        take: bool = False,
    ) -> None:
        """Prepare to read the queue.

        Args:
            url: The broker and the queue.
            settings: How to connect.
            headers: More headers of SUBSCRIBE, besides the URL's own.
            idle: Seconds without a message after which the queue counts as read to its end, if the
                broker does not tell its end; None: Looking.idle.
            take: Whether events will be removed from the queue.
        """
        self._url = url
        self._settings = settings
        self._headers = headers
        self._idle = Looking.idle if idle is None else idle
        self._take = take

    @contextmanager
    def opened(self, stop: Stop, *, most: int | None = None) -> "Iterator[FailedMessages | None]":
        """Yield the queue's events, with a connection to it; None: `stop` was set before.

        Raises:
            UsageError: The URL does not name a queue.
            RefusedError: The broker refuses the login, the subscription or the TLS connection.
            UnreachableError: The broker cannot be reached for too long, or the connection ends.
        """
        with looking(
            *(self._url, self._settings, stop),
            headers=self._headers,
            most=most,
            idle=self._idle,
            take=self._take,
        ) as look:
            if look is None:
                yield None
            else:
                yield FailedMessages(look, self._url.public, stop, is_held=self._take)


class FailedMessages:
    """The events of a queue during a look at it: `Failed` of store.py.

    Attributes:
        name: The queue's URL.
    """

    take_out_every = 0.0
    """An acknowledgement costs little, so a message is removed as soon as its event is done."""

    def __init__(self, look: Look, name: str, stop: Stop, *, is_held: bool) -> None:
        """Show the messages of `look`; `is_held`: hold them until it is closed."""
        self.name = name
        self._look = look
        self._stop = stop
        self._is_held = is_held
        self._tokens: list[str] = []

    def records(self) -> Iterator[Record]:
        """Yield every event that is in the queue now, in the queue's order.

        Raises:
            RefusedError: The broker refuses the subscription.
            ConnectionLost: The connection has ended.
        """
        # The queue is copied to a spool first: a slow reader, such as a pager, must not keep its
        # messages from other consumers.
        with closing(Spool(self._lines())) as lines:
            if not self._is_held:
                self._look.close()
            if self._stop.is_set():
                return  # The queue has not been read to its end, so the result would be wrong.
            for number, line in enumerate(lines):
                record = read_record(line)
                if record is not None:
                    yield replace(record, key=b"%d" % number)

    def _lines(self) -> Iterator[bytes]:
        for message in self._look.messages(self._stop):
            if self._is_held:
                self._tokens.append(self._look.token_of(message))
            yield _line_of(message, self._look, self.name)

    def key_of(self, record: Record) -> bytes:
        """Return the key of an event: the position of its message in the queue, as text."""
        return record.key

    def take_out(self, unwanted: Counter[bytes]) -> int:
        """Remove the messages with these keys from the queue; return how many.

        Raises:
            ConnectionLost: The connection has ended.
        """
        tokens = [self._tokens[int(key)] for key in unwanted]
        if tokens:
            self._look.acknowledge(tokens)
        return len(tokens)

    def descriptors(self) -> Sequence[HasFileno]:
        """Return the connection, which becomes readable when `tend` must be called."""
        return (self._look,)

    def tend(self) -> None:
        """Read and ignore the messages that arrive meanwhile, and notice the connection's end.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._look.discard()


def _line_of(message: Message, look: Look, source: str) -> bytes:
    """Return the event of `message` as a line, with the reason and time of its failure if known.

    A message that a broker or another program has put into the queue does not have the attributes
    that flow-work adds. The headers then tell the reason.
    """
    event = event_of(message, look.dialect, source)
    attributes, headers = event.attributes, message.headers
    if ERROR not in attributes and (reason := death_of(headers)):
        attributes[ERROR] = reason
    if FAILED_AT not in attributes and "flow-refused-at" in headers:
        attributes[FAILED_AT] = headers["flow-refused-at"]
    return event.encode()
