"""Write event lines to a pipe that may be full: buffer them, flush them, wait for room.

The thread that serves the session (serving.py) waits here while the reader is slow. A stop ends the
wait, but not at once: the reader then has until the end of the drain to accept the lines that are
buffered. Lines that it has not accepted by then are not acknowledged, so their messages come again.
"""

from collections.abc import Callable
from time import monotonic

from flowtools.core.errors import CUT, STALLED, ReaderGone
from flowtools.core.event import Event, EventError
from flowtools.core.lines import BLOCK, LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait

_log = get_log("flowtools.source.stomp")


class Pipe:
    """The pipe that a subscription writes its events to; only one thread may use it.

    Only a LineWriter can be full. Another outlet, such as that of compat/stomp.py, calls user code
    and has no buffer.
    """

    def __init__(self, outlet: Outlet, stop: Stop, drain_until: Callable[[], float]) -> None:
        """Write to `outlet`.

        `drain_until` is called after a stop; it returns the monotonic time at which waiting ends.
        """
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
            # `to_events` must return events that can be encoded, so this is a bug of ours.
            raise AssertionError(f"event '{event.id}' {error}") from error

    def flush(self) -> bool:
        """Write the buffered lines; return whether all are written.

        False means that a stop was requested and the reader accepted no more until the drain ended.

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
        """Wait until the reader has made room; return False if the drain after a stop is over.

        Raises:
            ReaderGone: The reader has gone.
        """
        outlet = self._outlet.fileno()
        has_room = outlet in wait(self._stop, writable=outlet)
        if not has_room:
            has_room = bool(wait(writable=outlet, seconds=self._drain_until() - monotonic()))
        # poll(2) also reports a pipe whose reader has gone as writable.
        if has_room and wait(gone=outlet, seconds=0):
            raise ReaderGone
        if not has_room:
            is_cut = self._writer is not None and self._writer.is_cut
            _log.warning("%s%s", STALLED, CUT if is_cut else "")
        return has_room
