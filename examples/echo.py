"""Echo: the smallest Worker; it gives back what it gets."""

from flowtools.event import Event


class Echo:
    """Writes each event to stdout again."""

    def start(self, event: Event) -> Event:
        """Return the event."""
        return event
