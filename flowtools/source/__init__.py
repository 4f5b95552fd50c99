"""The sources: one file each, every one with a `run` that writes events to an outlet."""

from typing import Protocol

from flowtools.event import Event
from flowtools.stop import Stop


class Outlet(Protocol):
    """Where a source puts its events; `flowtools.lines.LineWriter` is the one for stdout."""

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


class Source(Protocol):
    """Something that events come from."""

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until there are no more or `stop` is set.

        Returns with nothing left in the outlet's buffer.

        Raises:
            FlowError: The source cannot go on; its class says which exit status that is.
            ReaderGone: Nobody reads any more.
        """
