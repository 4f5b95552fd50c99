"""The terms of a subscription: destination, prefetch, and treatment of rejected messages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import unquote

from flowtools.core.errors import UsageError
from flowtools.stomp.dialect import Dialect, dead_letter_destination, takes
from flowtools.stomp.url import BrokerURL


@dataclass(frozen=True)
class Terms:
    """The destination of a subscription, and the treatment of its messages.

    Attributes:
        url: The broker and the destination, and further headers for SUBSCRIBE.
        prefetch: Maximum number of unacknowledged messages.
        drain: Seconds to wait for outstanding acknowledgements after a stop.
        idle: Seconds without a message, and without any unacknowledged one, after which to end;
            None: never.
        durable: The name of the durable subscription, if it is one.
        rejected_to: The dead-letter destination, with headers for its messages as its query; None:
            the default of dialect.py.
        rejected_headers: Further headers for messages that go there.
        max_deliveries: Number of unsuccessful deliveries after which a message is rejected; 0:
            no limit.
        headers: Headers for SUBSCRIBE; they win over the URL's, and over those made here.
    """

    url: BrokerURL
    prefetch: int
    drain: float
    idle: float | None = None
    durable: str | None = None
    rejected_to: str | None = None
    rejected_headers: Mapping[str, str] = field(default_factory=dict)
    max_deliveries: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.url.destination is None:
            raise UsageError(f"the broker URL '{self.url.public}' names no ?destination=")
        # Such a message would come back at once: one was rejected hundreds of times in six seconds.
        if takes(self.destination, self.dead_letter):
            raise UsageError(
                f"rejected messages would go to '{self.dead_letter}' and be delivered again by "
                f"'{self.destination}': give --dead-letter another destination"
            )

    @cached_property
    def source(self) -> str:
        """The URL without login, for messages and as the source of each event."""
        return self.url.public

    @property
    def destination(self) -> str:
        """The destination that messages come from."""
        assert self.url.destination is not None
        return self.url.destination

    @property
    def dead_letter(self) -> str:
        """The dead-letter destination, to which rejected messages go."""
        if self.rejected_to is None:
            return dead_letter_destination(self.destination)
        return self.rejected_to.partition("?")[0]

    @cached_property
    def dead_letter_headers(self) -> dict[str, str]:
        """The headers that each rejected message gets besides those of its sender."""
        query = (self.rejected_to or "").partition("?")[2]
        named = [
            tuple(unquote(each) for each in item.partition("=")[::2]) for item in query.split("&")
        ]
        return {name: text for name, text in named if name} | dict(self.rejected_headers)

    @property
    def is_shared_queue(self) -> bool:
        """Whether this is a queue from which several subscriptions can take messages."""
        asked = dict(self.url.parameters) | dict(self.headers)
        # Headers of a queue that serves one consumer only, and of a browser, which gets copies.
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

        `ack` is the ack mode, and `most` the maximum number of unacknowledged messages.
        """
        headers = {
            "destination": self.destination,
            "id": self.durable or name,
            "ack": ack,
            # An empty queue sends nothing, so only the receipt shows that the broker agrees.
            "receipt": "subscribe",
        }
        headers |= dialect.narrow_headers() if most == 1 else dialect.prefetch_headers(most)
        headers |= dialect.routing_headers(self.destination, to="subscription")
        if self.durable is not None:
            headers |= dialect.durable_headers(self.durable)
        return headers | dict(self.url.parameters) | dict(self.headers)
