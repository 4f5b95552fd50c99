"""Browse: look at the messages of a STOMP destination without consuming them."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing

from flowtools.core.described import Described
from flowtools.core.event import Event, parse
from flowtools.core.lines import MAX_LINE
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.spool import Spool
from flowtools.core.wait import Stop
from flowtools.stomp.look import Look, looking
from flowtools.stomp.message import event_of
from flowtools.stomp.settings import Looking, Settings
from flowtools.stomp.url import BrokerURL

_log = get_log("flowtools.source.stomp")


class Browse(Described):
    """A source of the messages that a queue holds now; all of them stay where they are.

    A topic holds no messages: they are written as they arrive, and every other subscriber gets them
    too. Some brokers hand the messages out and take them back (stomp/look.py); these are written
    once they have been given back, so that a slow reader does not keep them from other consumers.

    Attributes:
        url: The URL of the broker and the destination, without a login.
    """

    FACTS = ("url",)

    def __init__(
        self,
        url: BrokerURL,
        settings: Settings,
        *,
        selector: str | None = None,
        headers: Mapping[str, str] | None = None,
        count: int | None = None,
        idle: float | None = None,
    ) -> None:
        """Prepare to look at the destination of `url`.

        Args:
            url: The broker and the destination.
            settings: How to connect.
            selector: Condition that a message has to meet, for brokers that support selectors.
            headers: Further headers of the SUBSCRIBE frame, besides those of the URL.
            count: Number of events after which it ends.
            idle: Seconds without a message after which a queue counts as read to its end, for
                brokers that do not mark the end; None: Looking.idle.
        """
        self.url = url.public
        self._url = url
        self._settings = settings
        self._headers = ({} if selector is None else {"selector": selector}) | dict(headers or {})
        self._count = count
        self._idle = Looking.idle if idle is None else idle

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write an event for each message, until all have been seen or `stop` is set.

        Raises:
            RefusedError: The broker refuses login, subscription or TLS.
            ProtocolError: The other side does not speak STOMP.
            UnreachableError: The broker was away for too long, or the connection was lost.
            ReaderGone: Nobody reads any more.
        """
        with closing(self._events(outlet, stop)) as events:
            for event in events:
                outlet.emit(event)
        outlet.flush()

    def _events(self, outlet: Outlet, stop: Stop) -> Generator[Event]:
        with looking(
            *(self._url, self._settings, stop),
            headers=self._headers,
            most=self._count,
            idle=self._idle,
        ) as look:
            if look is None:
                return
            found = self._lines_of(look, outlet, stop)
            if not look.lends:
                yield from map(parse, found)
                return
            lines = Spool(found)
        # The queue has its messages back, so a slow reader cannot keep them from other consumers.
        with closing(lines):
            yield from map(parse, lines)

    def _lines_of(self, look: Look, outlet: Outlet, stop: Stop) -> Iterator[bytes]:
        for message in look.messages(stop, outlet, pause=outlet.flush):
            event = event_of(message, look.dialect, self._url.public)
            if message.headers.get("redelivered") == "true":
                event.attributes["redelivered"] = True
            line = event.encode()
            if len(line) <= MAX_LINE:
                yield line
            else:
                _log.error(
                    "cannot show message '%s': its line would be longer than %d bytes",
                    *(message.headers.get("message-id"), MAX_LINE),
                )
