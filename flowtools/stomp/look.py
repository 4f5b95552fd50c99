"""A look at what a queue holds; only messages that are acknowledged are removed from it.

ActiveMQ Classic can browse: it shows a copy of each message, says when all have been shown, and
leaves the queue as it is. The other brokers lend: the messages are delivered, stay unacknowledged,
and return to their places when the connection is closed. Meanwhile no other consumer gets them,
and the broker marks them as delivered before.

A broker that lends does not tell when its queue has been shown. So the look ends once no message
has come for a while. Messages that come later are ignored and go back with the others.

A topic holds no messages. Looking at it means to subscribe, which takes nothing from others.

Everything here runs in the caller's thread.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import NoReturn

from flowtools.core.errors import ReaderGone, RefusedError, UnreachableError, UsageError
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.wait import HasFileno, Stop, wait
from flowtools.stomp.broker import Broker
from flowtools.stomp.frames import Frame
from flowtools.stomp.giveback import SETTLING, giving_back
from flowtools.stomp.saying import error_text
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Looking, Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL, is_topic

GOODBYE = 10.0
"""Seconds to wait for the receipt of DISCONNECT: by then the broker has taken the messages back."""

PATIENCE = 3
"""Time to answer SUBSCRIBE, as a multiple of --connect-timeout."""

SLOW = 10.0
"""Seconds that a broker may pause before the last message that it has counted."""

_log = get_log("flowtools.stomp")


class Look:
    """One look at a destination, over one session.

    Attributes:
        is_live: Whether this is a look at a topic: it shows messages as they come, without end.
        dialect: The habits of the broker.
        lends: Whether other consumers do not get the messages until the look is closed.
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
        """Prepare to look at the destination of `url`; `messages` starts the look.

        Args:
            session: A session with the broker; the caller keeps owning it.
            url: The destination, and headers of SUBSCRIBE.
            settings: The connection settings, for the time to answer.
            headers: Further headers of SUBSCRIBE.
            most: Maximum number of messages to show; None: all.
            idle: Seconds without a message after which the queue counts as shown.
            take: Whether some of the messages will be acknowledged.

        Raises:
            UsageError: `url` names no destination, or `take` is given for a topic.
            RefusedError: The broker cannot take back single messages.
        """
        if url.destination is None:
            raise UsageError(f"the broker URL '{url.public}' names no ?destination=")
        self._destination = url.destination
        self.dialect = dialect = session.dialect
        self.is_live = is_topic(url.destination)
        if take and self.is_live:
            raise UsageError(
                f"'{url.destination}' is a topic, which keeps no messages: give a queue"
            )
        if take and not dialect.individual:
            raise RefusedError(
                f"'{session.name}' takes acknowledgements only in order, so single messages cannot"
                " be removed"
            )
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
        patience = settings.time_to_answer(PATIENCE * settings.connect_timeout, len(url.hosts))
        self._answer_by = monotonic() + patience
        self._is_confirmed = self._is_closed = False
        self._headers = self._asking() | dict(url.parameters) | dict(headers or {})

    def _asking(self) -> dict[str, str]:
        """Return our own headers of SUBSCRIBE."""
        dialect, ack = self.dialect, "auto"
        # In ack mode client one NACK gives back everything; to remove single messages, each needs
        # an acknowledgement of its own.
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
        """Yield the messages of a queue, and return once all have been shown.

        The messages of a topic are yielded as they come, until `stop` is set.

        Args:
            stop: Ends the look early.
            reader: The pipe to which the messages are written.
            pause: Called before each wait.

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
                # Beyond `most` the rest is still lent, but not shown: see `_is_all`.
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
                "'%s' has shown %s, as many as the broker delivers without an"
                " acknowledgement; there may be more",
                *(self._destination, counted(seen, "message")),
            )
            return True
        # Some brokers put returned messages behind those that were never lent. The order stays if
        # all of them have been lent.
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
                self._abandon("it does not show the queue")
        return 0

    def token_of(self, message: Frame) -> str:
        """Return the token by which `acknowledge` identifies `message`."""
        return self.dialect.ack_headers(message)

    def acknowledge(self, tokens: Iterable[str]) -> None:
        """Acknowledge messages, which removes them from the queue.

        Raises:
            ConnectionLost: The connection has ended.
        """
        named = list(tokens)
        self._session.send("".join(f"ACK\n{token}\n\0" for token in named).encode())
        for token in named:
            self._lent.pop(token, None)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `discard` has something to do."""
        return self._session.fileno()

    def discard(self) -> None:
        """Read messages that come after the look, without acknowledging them.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._messages_of(self._session.take())

    def close(self) -> None:
        """Give back the messages that were not acknowledged, and wait for the broker.

        A second call does nothing.
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
        """Give back what is still lent; if possible, no unsuccessful delivery is counted."""
        self.discard()  # What has arrived since the last message must be given back, too.
        frames = giving_back(self.dialect, ["flow"], self._lent)
        if frames:
            self._session.send(frames)
        if self._takes and self.dialect.gives_back == "by NACK" and self._lent:
            sleep(SETTLING)

    def _left(self, active: float) -> float | None:
        """Return the seconds to wait for more messages; None: without end.

        Raises:
            ConnectionLost: The broker does not answer the subscription.
        """
        now = monotonic()
        if self._is_confirmed:
            return None if self._idle is None else active + self._idle - now
        if now >= self._answer_by:
            self._abandon("it does not answer the subscription")
        return self._answer_by - now

    def _abandon(self, reason: str) -> NoReturn:
        """End the connection to a silent broker, which would not answer DISCONNECT either."""
        self._session.abandon(reason)
        raise ConnectionLost(reason)

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
                self._lent.clear()  # Giving back the last one gives back all before it.
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
    """Connect, yield a `Look` and close it; yield None if `stop` was set first.

    `Look` describes the arguments.

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


def _is_end(message: Frame) -> bool:
    """Return whether `message` is the empty message with which ActiveMQ ends a browse."""
    return message.headers.get("browser") == "end" and not message.body
