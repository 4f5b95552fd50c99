"""The use of stomp.py: only its I/O thread.

A `Reading` is a transport of stomp.py (`stomp.transport.BaseTransport`, whose methods are meant to
be overridden) that leaves all reading to a function of ours. The rest of stomp.py 9.0 is not used:
it takes the end of a TLS stream for "nothing yet" and spins; on a heart-beat time-out over TLS it
waits for the dead broker's goodbye; its heart-beat thread can hang behind a send that hangs; it
tries to reconnect by itself; it drops a frame after two heart-beats (see frames.py).
"""

import os
from collections.abc import Callable
from threading import Thread

# Without this, importing stomp.py asks the name service for this machine's own names.
os.environ.setdefault("STOMP_SKIP_HOSTNAME_SCAN", "1")

import stomp.transport


class Reading(stomp.transport.BaseTransport):  # type: ignore[misc]
    """Reads one connection in stomp.py's I/O thread, which `start` starts."""

    def __init__(
        self,
        read: Callable[[], None],
        ended: Callable[[], None],
        start_thread: Callable[[Callable[[], None]], Thread],
    ) -> None:
        """Prepare to read a connection.

        Args:
            read: Reads until the connection ends.
            ended: Called once after that.
            start_thread: Starts a thread for stomp.py.
        """
        super().__init__(auto_decode=False)
        self.override_threading(start_thread)
        self._read = read
        self._ended = ended

    def receive(self) -> bytes:
        """Read until the end of the connection; called by stomp.py's I/O thread."""
        self._read()
        return b""  # To stomp.py this is the end of the connection.

    def notify(self, frame_type: str, frame: object = None) -> None:
        """Note the end; stomp.py's listeners are not used."""
        if frame_type == "disconnected":
            self._ended()
