"""A look at what a queue holds: nothing is taken off it but what is acknowledged.

ActiveMQ Classic has browsers: it shows a copy of each message, says when all have been shown,
and the queue does not notice. The other brokers lend: the messages are delivered, stay
unacknowledged, and go back to their places when the connection is closed. Meanwhile no other
consumer gets them, and the broker marks them as delivered before.

A broker that lends has no word for the end of its queue: the look ends once nothing has come for
a while. A message that comes later is none of its business, and goes back with the others.

A topic holds nothing. To look at it is to subscribe, which takes nothing from anybody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import NoReturn

from flowtools.core.errors import ReaderGone, RefusedError, UnreachableError, UsageError
from flowtools.core.log import get_log
from flowtools.core.wait import HasFileno, Stop, wait
from flowtools.stomp.broker import Broker
from flowtools.stomp.frames import Frame, encode_frame
from flowtools.stomp.session import Session, error_text
from flowtools.stomp.settings import Looking, Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

GOODBYE = 10.0
"""Seconds that the broker has to take the messages back: for the receipt of DISCONNECT."""

PATIENCE = 3
"""How many times --connect-timeout a broker has to answer SUBSCRIBE."""

SLOW = 10.0
"""Seconds that a broker may pause before the last message that it has counted."""

SETTLING = 0.5
"""Seconds that RabbitMQ has to give back single messages: a quorum queue does 32 at once, and what
has not been done when the connection ends counts as delivered in vain."""

_log = get_log("flowtools.stomp")


class Look:
    """One look at a destination, over one session.

    Attributes:
        is_live: Whether it is at a topic: messages are seen as they come, and it does not end.
        dialect: What its broker does its own way.
        lends: Whether other consumers miss the messages until the look is closed.
    """

    def __init__(
        self,
        session: Session,
        url: BrokerURL,
        settings: Settings,
        *,
        headers: Mapping[str, str] | None = None,
        most: int | None = None,
        idle: float = Looking.idle,
        take: bool = False,
    ) -> None:
        """Prepare to look at the destination of `url`; `messages` begins.

        Args:
            session: A session with its broker; it stays the caller's.
            url: The destination, and headers of SUBSCRIBE.
            settings: How patient to be.
            headers: More headers of SUBSCRIBE.
            most: Look at no more messages than so many; None: at all.
            idle: Seconds without a message that mean that a queue has been seen.
            take: Whether some of the messages will be acknowledged.

        Raises:
            UsageError: `url` names no destination, or a topic that something is to be taken off.
            RefusedError: The broker cannot take back single messages.
        """
        if url.destination is None:
            raise UsageError(f"the broker URL '{url.public}' names no ?destination=")
        self._destination = url.destination
        self.dialect = dialect = session.dialect
        self.is_live = is_topic(url.destination)
        if take and self.is_live:
            raise UsageError(f"'{url.destination}' keeps no messages: nothing can be taken off it")
        if take and not dialect.individual:
            raise RefusedError(f"'{session.name}' cannot leave one message and take the next")
        browses = dialect.browses and not take
        self.lends = not (browses or self.is_live)
        self._session = session
        if self.lends and not self.dialect.individual:
            _log.warning(
                "'%s' delivers one message at a time: the first of '%s' is all that can be seen",
                *(self._session.name, self._destination),
            )
        self._most = most
        self._whole: int | None = None
        self._takes = take
        self._lent: dict[str, None] = {}
        self._idle = None if self.is_live else idle
        self._answer_by = monotonic() + PATIENCE * settings.connect_timeout
        self._is_confirmed = self._is_closed = False
        self._headers = self._asking() | dict(url.parameters) | dict(headers or {})

    def _asking(self) -> dict[str, str]:
        """Return our own headers of SUBSCRIBE."""
        dialect, ack = self.dialect, "auto"
        how = {} if self.is_live else dialect.browser_headers()
        if self.lends:
            ack = "client-individual" if self._takes else "client"
            how = dialect.lending_headers()
        return {
            "destination": self._destination,
            "id": "flow",
            "ack": ack,
            "receipt": "subscribe",
            **how,
            **dialect.routing_headers(self._destination, to="subscription"),
        }

    def messages(
        self,
        stop: Stop,
        reader: HasFileno | None = None,
        pause: Callable[[], None] = lambda: None,
    ) -> Iterator[Frame]:
        """Yield the messages of a queue, and return once it has been seen.

        Those of a topic are yielded as they come. Where `stop` is set, it returns early.

        Args:
            stop: Ends the look.
            reader: The pipe that the messages are for.
            pause: Is called before it waits.

        Raises:
            ReaderGone: The reader of the pipe has gone.
            RefusedError: The broker refuses the subscription.
            ConnectionLost: The connection has ended.
        """
        if not self._begin(stop):
            return
        seen, active = 0, monotonic()
        while not stop.is_set():
            frames = self._session.take()
            for message in self._messages_of(frames):
                if _is_end(message):
                    return
                seen += 1
                if self._most is None or seen <= self._most:
                    yield message
                if self._is_all(seen):
                    return
                active = monotonic()
            if frames:
                continue
            left = self._left(active)
            if left is not None and left <= 0:
                return
            pause()
            ready = wait(self._session, stop, gone=reader, seconds=left)
            if reader is not None and reader.fileno() in ready:
                raise ReaderGone

    def _begin(self, stop: Stop) -> bool:
        """Subscribe; return whether there may be something to see."""
        if self._takes and self.dialect.browses:
            self._whole = self._counted(stop)
            if not self._whole:
                return False
            self._idle = max(self._idle or 0.0, SLOW)
        self._session.send_frame("SUBSCRIBE", self._headers)
        return True

    def _is_all(self, seen: int) -> bool:
        """Return whether `seen` messages are all that is to be seen."""
        if self.lends and seen == self.dialect.lends:
            _log.warning(
                "'%s' has shown %d messages, and the broker lends no more; there may be others",
                *(self._destination, seen),
            )
            return True
        goes_on = self.lends and self.dialect.lends_whole
        return seen == self._whole or (seen == self._most and not goes_on)

    def _counted(self, stop: Stop) -> int:
        """Return how many messages a browser shows: then the end of the queue is no guess.

        ActiveMQ may pause for seconds in the middle of a queue that it has not delivered before.
        """
        own = {"id": "flow-count", "ack": "auto"} | self.dialect.browser_headers()
        self._session.send_frame("SUBSCRIBE", self._headers | own)
        number = 0
        while not stop.is_set():
            for frame in self._session.take():
                if frame.command == "ERROR":
                    self._refuse(frame)
                if _is_end(frame):
                    self._session.send_frame("UNSUBSCRIBE", {"id": "flow-count"})
                    return number
                number += frame.command == "MESSAGE"
            if not wait(self._session, stop, seconds=max(0.0, self._answer_by - monotonic())):
                raise ConnectionLost("it does not show the queue")
        return 0

    def token_of(self, message: Frame) -> str:
        """Return what `acknowledge` takes for `message`."""
        return self.dialect.ack_headers(message)

    def acknowledge(self, tokens: Iterable[str]) -> None:
        """Take messages off the queue.

        Raises:
            ConnectionLost: The connection has ended.
        """
        named = list(tokens)
        self._session.send("".join(f"ACK\n{token}\n\0" for token in named).encode())
        for token in named:
            self._lent.pop(token, None)

    def fileno(self) -> int:
        """Return what becomes readable when `discard` has something to do."""
        return self._session.fileno()

    def discard(self) -> None:
        """Leave what comes after the look where it is: it is not acknowledged.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._messages_of(self._session.take())

    def close(self) -> None:
        """Let the broker take back what was not acknowledged; return once it has.

        A second time does nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self.lends and self._session.lost is None:
                self._give_back()
        except (ConnectionLost, RefusedError) as error:
            _log.debug("the connection ended before the messages were given back: %s", error)
        self._session.close(GOODBYE)

    def _give_back(self) -> None:
        """Give back what is still lent, so that as little as possible counts as delivered."""
        self.discard()
        how, version = self.dialect.gives_back, self.dialect.version
        frames = [encode_frame("UNSUBSCRIBE", {"id": "flow"}, version=version)]
        if how == "by NACK" and self._lent:
            # RabbitMQ carries out a transaction at COMMIT: by then the subscription is over, and
            # what is given back does not come to it again.
            name = "transaction:back\n"
            # Where stomp.default_nack_requeue is false, NACK would throw the messages away.
            how_back = f"requeue:true\n{name}"
            nacks = "".join(f"NACK\n{token}{how_back}\n\0" for token in self._lent).encode()
            frames.insert(0, f"BEGIN\n{name}\n\0".encode() + nacks)
            frames.append(f"COMMIT\n{name}\n\0".encode())
        if how != "at the end":
            self._session.send(b"".join(frames))
        if self._takes and how == "by NACK" and self._lent:
            sleep(SETTLING)

    def _left(self, active: float) -> float | None:
        """Return the seconds for which to wait on.

        Raises:
            ConnectionLost: The broker does not answer the subscription.
        """
        now = monotonic()
        if self._is_confirmed:
            return None if self._idle is None else active + self._idle - now
        if now >= self._answer_by:
            raise ConnectionLost("it does not answer the subscription")
        return self._answer_by - now

    def _refuse(self, error: Frame) -> NoReturn:
        said = error_text(error)
        if self._is_confirmed:
            raise ConnectionLost(f"the broker says: {said}")
        raise RefusedError(
            f"'{self._session.name}' refuses the subscription to '{self._destination}': {said}"
        )

    def _messages_of(self, frames: list[Frame]) -> list[Frame]:
        for frame in frames:
            if frame.command == "ERROR":
                self._refuse(frame)
            self._is_confirmed = True
        messages = [frame for frame in frames if frame.command == "MESSAGE"]
        if self.lends and messages:
            if not self._takes:
                self._lent.clear()  # To give back the last is to give back all before it.
            named = messages if self._takes else messages[-1:]
            self._lent |= dict.fromkeys(map(self.token_of, named))
        return messages


@contextmanager
def looking(
    url: BrokerURL,
    settings: Settings,
    stop: Stop,
    *,
    headers: Mapping[str, str] | None = None,
    most: int | None = None,
    idle: float = Looking.idle,
    take: bool = False,
) -> Iterator[Look | None]:
    """Connect, yield a `Look` and close it; see there for the arguments. None: `stop` was set.

    Raises:
        UnreachableError: The connection ended in the middle of the look.
    """
    broker = Broker(url, settings)
    session = broker.connect(stop)
    if session is None:
        yield None
        return
    try:
        look = Look(session, url, settings, headers=headers, most=most, idle=idle, take=take)
        try:
            yield look
        finally:
            look.close()
    except ConnectionLost as error:
        raise UnreachableError(
            f"lost the connection to '{session.name}' during the look: {error}; all that was not"
            " acknowledged is in the queue as before"
        ) from None
    finally:
        session.abort()


def is_topic(destination: str) -> bool:
    """Return whether `destination` hands each message to all who listen, and keeps none."""
    return destination.startswith(("/topic/", "/exchange/"))


def _is_end(message: Frame) -> bool:
    """Return whether `message` is the empty one by which ActiveMQ ends a browser."""
    return message.headers.get("browser") == "end" and not message.body
