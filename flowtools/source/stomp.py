"""GenericStompListener: events from any STOMP destination, at least once each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from flowtools.ack.receiver import AckInlet, AckSocket
from flowtools.core.described import Described
from flowtools.core.errors import ReaderGone, RefusedError
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop
from flowtools.source.again import Again
from flowtools.source.current import Current
from flowtools.source.ending import leave
from flowtools.source.serving import Detour, Serving
from flowtools.source.settings import Taking
from flowtools.stomp.broker import Broker
from flowtools.stomp.caution import Caution
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.message import Message, events_of
from flowtools.stomp.settings import Settings
from flowtools.stomp.subscription import OneConsumer, Subscription
from flowtools.stomp.terms import Terms
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

_log = get_log("flowtools.source.stomp")


class GenericStompListener(Described):
    """A source of the messages of one STOMP destination.

    With `ack="pipe"` a message is acknowledged once its line is written. With "worker" it is
    acknowledged once the Workers have acknowledged all of its events, through their `ackto`.
    Messages are written in the order of their delivery.

    Attributes:
        count: Number of events after whose message it ends; None: no limit.
        inlet: Makes the receiver of acknowledgements; None with `ack="pipe"`.
    """

    FACTS = ("url", "count")

    redelivers: ClassVar = True
    """Events that are not done are delivered again."""

    def __init__(
        self,
        url: BrokerURL,
        settings: Settings,
        *,
        ack: Literal["pipe", "worker"] = Taking.ack,
        prefetch: int = Taking.prefetch,
        durable: str | None = None,
        selector: str | None = None,
        headers: Mapping[str, str] | None = None,
        count: int | None = None,
        dead_letter: str | None = None,
        dead_letter_headers: Mapping[str, str] | None = None,
        max_deliveries: int = Taking.max_deliveries,
        drain: float = Taking.drain,
        idle: float | None = None,
        to_events: Callable[[Message], Sequence[Event]] | None = None,
        inlet: Callable[[], AckInlet] = AckSocket,
        detour: Detour | None = None,
        again: Again | None = None,
        relocate: Callable[[Stop], BrokerURL | None] | None = None,
    ) -> None:
        """Prepare to listen at `url`.

        Args:
            url: The broker and the destination.
            settings: How to connect.
            ack: When a message is acknowledged; see the class.
            prefetch: Maximum number of unacknowledged messages. It limits the memory held here,
                and what is delivered twice after a fault.
            durable: Name of a durable subscription to a topic.
            selector: Condition that a message has to meet, for brokers that support selectors.
            headers: Further headers of the SUBSCRIBE frame, besides those of the URL.
            count: Number of events after whose message it ends.
            dead_letter: Destination of rejected messages; stomp/dialect.py has the default.
            dead_letter_headers: Further headers of the messages that go there.
            max_deliveries: Failed deliveries after which a message is rejected; 0: no limit.
            drain: Seconds that outstanding acknowledgements have after a stop.
            idle: Seconds without a new or unacknowledged message after which it ends. Time
                without a connection does not count.
            to_events: Makes the events of a message: none or more, which can be encoded. If it
                raises, the message is rejected. By default each message is one event.
            inlet: Makes the receiver of acknowledgements, with `ack="worker"`.
            detour: A stage that events pass before they are written.
            again: What becomes of unacknowledged events; None: what the broker does with them.
            relocate: Called before a reconnect; returns the present address of the broker, or
                None to keep the last one.

        Raises:
            UsageError: The URL names no destination.
        """
        self._terms = Terms(
            url=url,
            prefetch=prefetch,
            drain=drain,
            idle=idle,
            durable=durable,
            rejected_to=dead_letter,
            rejected_headers=dead_letter_headers or {},
            max_deliveries=max_deliveries,
            headers=({} if selector is None else {"selector": selector}) | dict(headers or {}),
        )
        self._settings = settings
        self.count = count
        self._custom = to_events
        self.inlet = inlet if ack == "worker" else None
        self._detour = detour
        self._again = again
        self._relocate = relocate
        self._current = Current()
        self._caution = Caution()

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until `stop` is set, `count` is reached, or the source is idle.

        Raises:
            RefusedError: The broker refuses login, subscription or TLS.
            ProtocolError: The other side does not speak STOMP.
            UnreachableError: The broker was away for longer than the settings allow.
            ReaderGone: Nobody reads any more.
        """
        terms = self._terms
        broker = Broker(terms.url, self._settings, client_id=terms.durable, relocate=self._relocate)
        acks = self.inlet() if self.inlet else None
        try:
            if acks is not None:
                self._current.receive_from(acks)
            with broker.contact.shown(terms.destination):
                self._serve(broker, acks, outlet, stop)
        finally:
            if acks is not None:
                acks.close()
            self._current.report_stale()

    def _serve(self, broker: Broker, acks: AckInlet | None, outlet: Outlet, stop: Stop) -> None:
        count, accepted = self.count, False
        while (session := broker.connect(stop)) is not None:
            if broker.url.destination is not None:
                self._terms = replace(self._terms, url=broker.url)
            terms = self._terms
            common = (session, terms, self._settings, self._caution, broker.contact)
            subscription = Subscription(*common, individual=acks is not None)
            serving = Serving(
                *(subscription, terms, outlet, stop, self._to_events),
                count=count,
                acks=acks,
                detour=self._detour,
                again=self._again,
            )
            self._current.begin(serving)
            try:
                serving.run()
            except (ConnectionLost, RefusedError) as error:
                # After a subscription has once been accepted, a refusal may be temporary: a broker
                # that has just started may not know its queues yet.
                accepted = accepted or subscription.confirmed
                if isinstance(error, RefusedError) and not accepted:
                    raise
                worked = isinstance(error, OneConsumer)
                broker.note_lost(session, error, worked=worked, accepted=subscription.confirmed)
            except ReaderGone:
                leave(subscription, acks, stop)
                raise
            else:
                return
            finally:
                serving.close()
                self._current.end(serving)
            count = None if count is None else count - serving.delivery.taken
            # They count as taken, so they are written, though they cannot be acknowledged any more.
            serving.delivery.flush()
            if self._detour is not None:
                self._detour.end()
            if count is not None and count <= 0:
                return

    def _to_events(self, message: Message, dialect: Dialect) -> Sequence[Event]:
        if self._custom is not None:
            return self._custom(message)
        return events_of(message, dialect, self._terms.source)

    @property
    def url(self) -> str:
        """The URL of the broker and the destination, without a login."""
        return self._terms.url.public
