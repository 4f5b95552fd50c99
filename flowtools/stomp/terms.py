"""The terms of a subscription: what, how much at a time, and what becomes of what is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from flowtools.core.errors import UsageError
from flowtools.stomp.dialect import Dialect, dead_letter_destination, takes
from flowtools.stomp.url import BrokerURL


@dataclass(frozen=True)
class Terms:
    """What is subscribed to, and how its messages are treated.

    Attributes:
        url: The broker and the destination; more headers for SUBSCRIBE, too.
        prefetch: Messages that may be unacknowledged.
        drain: Seconds that outstanding acknowledgements have after a stop.
        idle: Seconds without a message, and without one that is still to be acknowledged,
            after which to end; None: never.
        durable: Name of the durable subscription, if it is one.
        refused_to: Where refused messages go, with headers for them as its query; None: see
            dialect.py.
        refused_headers: More headers of the messages that go there.
        max_deliveries: Deliveries in vain after which a message is refused; 0: no limit.
        headers: Headers for SUBSCRIBE; they win over the URL's, and over those made here.
    """

    url: BrokerURL
    prefetch: int
    drain: float
    idle: float | None = None
    durable: str | None = None
    refused_to: str | None = None
    refused_headers: Mapping[str, str] = field(default_factory=dict)
    max_deliveries: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.url.destination is None:
            raise UsageError(f"the broker URL '{self.url.public}' names no ?destination=")
        if takes(self.destination, self.dead_letter):
            raise UsageError(
                f"what is refused would go to '{self.dead_letter}' and come again by "
                f"'{self.destination}': give --dead-letter another destination"
            )

    @cached_property
    def source(self) -> str:
        """The URL for people, and for each event."""
        return self.url.public

    @property
    def destination(self) -> str:
        """Where messages come from."""
        assert self.url.destination is not None
        return self.url.destination

    @property
    def dead_letter(self) -> str:
        """Where refused messages go."""
        if self.refused_to is None:
            return dead_letter_destination(self.destination)
        return self.refused_to.partition("?")[0]

    @cached_property
    def dead_letter_headers(self) -> dict[str, str]:
        """What each refused message gets besides the headers of its sender."""
        query = (self.refused_to or "").partition("?")[2]
        named = [
            tuple(unquote(each) for each in item.partition("=")[::2]) for item in query.split("&")
        ]
        return {name: text for name, text in named if name} | dict(self.refused_headers)

    @property
    def is_shared_queue(self) -> bool:
        """Whether this is a queue of which any number of subscriptions can take."""
        asked = dict(self.url.parameters) | dict(self.headers)
        alone = ("x-single-active-consumer", "exclusive", "browser")
        return (
            self.durable is None
            and self.destination.startswith(("/queue/", "/amq/queue/"))
            and not any(asked.get(name, "").lower() == "true" for name in alone)
        )

    def headers_for(
        self, dialect: Dialect, ack: str, most: int, *, name: str = "flow"
    ) -> dict[str, str]:
        """Return the headers of the SUBSCRIBE frame of the subscription `name`.

        `ack` is its mode, and `most` the number of messages that may be unacknowledged.
        """
        headers = {
            "destination": self.destination,
            "id": self.durable or name,
            "ack": ack,
            "receipt": "subscribe",
        }
        headers |= dialect.narrow_headers() if most == 1 else dialect.prefetch_headers(most)
        headers |= dialect.routing_headers(self.destination, to="subscription")
        if self.durable is not None:
            headers |= dialect.durable_headers(self.durable)
        return headers | dict(self.url.parameters) | dict(self.headers)
