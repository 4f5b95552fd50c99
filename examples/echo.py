"""Echo: the smallest Worker. It returns each event unchanged."""

from flowtools.event import Event


class Echo:
    """Writes each event to stdout as its result."""

    def start(self, event: Event) -> Event:
        """Return the event."""
        return event
