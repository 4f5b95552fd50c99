"""Write event lines to a pipe that may be full: buffer them, flush them, wait for room."""

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
    """The pipe that a subscription writes its events to; only one thread may use it.

    A full pipe is waited for here, because this wait also ends at a stop. Other outlets, such as
    flow-run's, handle a full buffer themselves.
    """

    def __init__(self, outlet: Outlet, stop: Stop, drain_until: Callable[[], float]) -> None:
        """Write to `outlet`; `drain_until` returns the time at which waiting ends after a stop."""
        self._outlet = outlet
        self._drain_until = drain_until
        self._writer = outlet if isinstance(outlet, LineWriter) else None
        self._held = 0
        self._stop = stop

    @property
    def is_block(self) -> bool:
        """Whether the buffer holds enough lines to be worth a write."""
        return self._held >= BLOCK

    def put(self, event: Event) -> None:
        """Buffer the line of `event` until `flush`."""
        try:
            if self._writer is None:
                self._outlet.emit(event)
            else:
                self._held = self._writer.hold(event.encode())
        except EventError as error:
            # to_events is to give events that can be written: a fault of the program.
            raise AssertionError(f"event '{event.id}' {error}") from error

    def flush(self) -> bool:
        """Write the buffered lines; return whether all are written.

        They are not written if a stop was asked for and the reader takes nothing.

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
        """Wait until the reader has made room (True), or after a stop until the drain is over.

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
