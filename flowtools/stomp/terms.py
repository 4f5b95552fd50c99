"""The terms of a subscription: what, how much at a time, and what becomes of what is refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

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
        refused_to: Where refused messages go; None: see dialect.py.
        headers: Headers for SUBSCRIBE; they win over the URL's, and over those made here.
    """

    url: BrokerURL
    prefetch: int
    drain: float
    idle: float | None = None
    durable: str | None = None
    refused_to: str | None = None
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
        return self.refused_to or dead_letter_destination(self.destination)

    def headers_for(self, dialect: Dialect, ack: str, most: int | None) -> dict[str, str]:
        """Return the headers of SUBSCRIBE, with the ack mode `ack`; `most`: take no more."""
        headers = {
            "destination": self.destination,
            "id": self.durable or "flow",
            "ack": ack,
            "receipt": "subscribe",
        }
        headers |= dialect.prefetch_headers(min(self.prefetch, most or self.prefetch))
        if self.durable is not None:
            headers |= dialect.durable_headers(self.durable)
        return headers | dict(self.url.parameters) | dict(self.headers)
