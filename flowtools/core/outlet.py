"""The outlet of a source, which takes its events: a pipe, or a pool in the same process."""

from typing import Protocol

from flowtools.core.event import Event


class Outlet(Protocol):
    """Takes a source's events; `flowtools.core.lines.LineWriter` is the outlet for stdout."""

    def emit(self, event: Event) -> None:
        """Take `event`; it may stay in a buffer until `flush`.

        Raises:
            EventError: The event has no JSON form.
            ReaderGone: The reader has gone.
        """

    def flush(self) -> None:
        """Hand over everything that was emitted; call it before waiting."""

    def fileno(self) -> int:
        """Return the descriptor to poll for POLLERR, which comes when the reader has gone."""

    def unread(self) -> int:
        """Return the number of bytes handed over that the reader has not taken yet."""
