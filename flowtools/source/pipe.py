"""Event lines into a pipe that may be full: held back, let out, waited for."""

from collections.abc import Callable
from time import monotonic

from flowtools.core.errors import ReaderGone
from flowtools.core.event import Event, EventError
from flowtools.core.lines import BLOCK, LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait

_log = get_log("flowtools.source.stomp")


class Pipe:
    """What a subscription writes its events to; for one thread.

    A full pipe is waited for here, where a stop can be heard. What another outlet
    (flow-run's) does when it is full is its own business.
    """

    def __init__(self, outlet: Outlet, stop: Stop, drain_until: Callable[[], float]) -> None:
        """Write to `outlet`; `drain_until` says when, after a stop, to wait no longer."""
        self._outlet = outlet
        self._drain_until = drain_until
        self._writer = outlet if isinstance(outlet, LineWriter) else None
        self._held = 0
        self._stop = stop

    @property
    def is_block(self) -> bool:
        """Whether as much is held back as is worth a write."""
        return self._held >= BLOCK

    def put(self, event: Event) -> None:
        """Hold the line of `event` back until `flush`."""
        try:
            if self._writer is None:
                self._outlet.emit(event)
            else:
                self._held = self._writer.hold(event.encode())
        except EventError as error:
            # to_events is to give events that can be written: a fault of the program.
            raise AssertionError(f"event '{event.id}' {error}") from error

    def flush(self) -> bool:
        """Let the lines out that have gathered; return whether they are.

        They are not where a stop was asked for and the reader takes nothing.

        Raises:
            ReaderGone: The reader has gone.
        """
        if self._writer is None:
            self._outlet.flush()
            return True
        self._held = 0
        while not self._writer.try_flush():
            if not self._await_room():
                return False
        return True

    def _await_room(self) -> bool:
        """Wait until the reader has made room (True), after a stop until the drain is over.

        Raises:
            ReaderGone: The reader has gone.
        """
        outlet = self._outlet.fileno()
        has_room = outlet in wait(self._stop, writable=outlet)
        if not has_room:
            has_room = bool(wait(writable=outlet, seconds=self._drain_until() - monotonic()))
        if has_room and wait(gone=outlet, seconds=0):
            raise ReaderGone
        if not has_room:
            _log.warning("ends without a reader for its last lines")
        return has_room
