"""What a source subscribes to, and how its messages are to be treated."""

from dataclasses import dataclass, field

from flowtools.stomp.dialect import Dialect


@dataclass(frozen=True)
class Order:
    """What is to be subscribed to, and how its messages are to be treated.

    Attributes:
        destination: Where messages come from.
        source: The broker's URL for people and events.
        headers: More headers for SUBSCRIBE; they win over those made here.
        prefetch: Messages that may be unacknowledged.
        durable: Name of the durable subscription, if it is one.
        dead_letter: Where refused messages go.
        drain: Seconds that outstanding acknowledgements have after a stop.
        idle: Seconds without a message, and without one that is still to be acknowledged,
            after which to end; None: never.
    """

    destination: str
    source: str
    prefetch: int
    dead_letter: str
    drain: float
    durable: str | None = None
    idle: float | None = None
    headers: dict[str, str] = field(default_factory=dict)

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
        return headers | self.headers
