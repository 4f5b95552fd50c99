"""Where a source puts its events, whatever that is: a pipe, or a pool in the same process."""

from typing import Protocol

from flowtools.core.event import Event


class Outlet(Protocol):
    """Where a source puts its events; `flowtools.core.lines.LineWriter` is the one for stdout."""

    def emit(self, event: Event) -> None:
        """Take `event`; it may stay in a buffer until `flush`.

        Raises:
            EventError: The event has no JSON form.
            ReaderGone: Nobody reads any more.
        """

    def flush(self) -> None:
        """Return when everything emitted has been handed over; call it before waiting."""

    def fileno(self) -> int:
        """Return what to poll for POLLERR: it comes when the reader has gone."""

    def unread(self) -> int:
        """Return how much (bytes) of what was handed over its reader has not yet taken."""
