"""One connection to a broker: bytes in and out, heart-beats, and why it ended.

Two threads belong to a transport, and both end with the connection. `start` starts stomp.py's I/O
thread (see library.py), which reads. If heart-beats have been agreed on, `pulse` starts a second
thread, which sends them and watches for the broker's. `close` joins both. The first error ends the
connection: `_lose` stores it in `lost` and shuts the socket down, which wakes every thread that
waits on it. The I/O thread hands bytes to `deliver`. While `deliver` makes it wait (session.py), it
calls `heard`, or the pulse would take the pause for a dead broker.
"""

import errno
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event as Flag
from threading import Lock, Thread

from flowtools.core.errors import ProtocolError
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, wait
from flowtools.process.tls import refusal
from flowtools.stomp.library import Reading
from flowtools.stomp.wire import Wire

GRACE = 1.5
"""Time for which a broker may be silent, as a multiple of its promised interval."""

LAST_WORDS = 0.5
"""Seconds that the I/O thread has to read what the broker sent before it hung up."""

UNCONFIRMED = 120.0
"""Seconds for which sent data or keep-alive probes may stay unconfirmed by the other side's kernel,
if no heart-beat is expected. This setting overrides the number of probes (tcp(7),
TCP_USER_TIMEOUT)."""

Deliver = Callable[[bytes], None]

_log = get_log("flowtools.transport")


class ConnectionLost(Exception):
    """The connection has ended; the text says why.

    Attributes:
        refused: Whether TLS was refused, so that another attempt is useless.
    """

    refused = False


class ConnectionRefusedForGood(ConnectionLost):
    """The TLS handshake failed in a way that another attempt cannot mend."""

    refused = True


class Transport:
    """A connection to a broker, from a connected socket to its end.

    Attributes:
        lost: The reason why the connection ended; None while it is up.
    """

    def __init__(self, wire: Wire, deliver: Deliver, ended: Callable[[], None]) -> None:
        """Take over a connected `wire`.

        Args:
            wire: A connection; with TLS, its handshake is done.
            deliver: Called with the bytes that arrive, in the I/O thread.
            ended: Called once, when the connection has ended and `lost` says why.
        """
        self.lost: ConnectionLost | ProtocolError | None = None
        self._wire = wire
        self._deliver = deliver
        self._ended = ended
        self._over = Flag()
        self._first = Lock()
        self._sending = Lock()
        self._threads: list[Thread] = []
        self._beat_every = 0.0
        self._hear_every = 0.0
        self._sent_at = self._heard_at = time.monotonic()
        self._reading = Reading(self._read, self._finish, self._start_thread)

    def start(self) -> None:
        """Start to read."""
        self._wire.socket.setblocking(True)
        self._reading.start()

    @property
    def heard_at(self) -> float:
        """The time at which bytes last arrived, in seconds of the monotonic clock."""
        return self._heard_at

    def heard(self) -> None:
        """Count this moment as a sign of life: while reading pauses, none can be seen."""
        self._heard_at = time.monotonic()

    def pulse(self, beat_every: float, hear_every: float) -> None:
        """Keep the heart-beats that were agreed on; called once, after the login.

        Args:
            beat_every: Seconds within which the broker must hear from us; 0: no heart-beats.
            hear_every: Seconds within which we must hear from the broker; 0: no heart-beats.
        """
        self._beat_every = beat_every
        self._hear_every = hear_every
        if not hear_every:
            # Only without heart-beats, which are the better sign: the option would also end a
            # connection to a living broker that accepts no data for a while (tcp(7)).
            milliseconds = round(UNCONFIRMED * 1000)
            with suppress(OSError):  # The connection has ended; the reading thread finds out.
                option = socket.TCP_USER_TIMEOUT
                self._wire.socket.setsockopt(socket.IPPROTO_TCP, option, milliseconds)
        if beat_every or hear_every:
            self._start_thread(self._keep_pulse)

    def _read(self) -> None:
        """Read and deliver until the connection ends; the I/O thread calls it."""
        try:
            while not self._over.is_set():
                chunk = self._wire.receive()
                if not chunk:
                    self.abandon("the broker has closed it")
                    break
                self._heard_at = time.monotonic()
                self._deliver(chunk)
        except ssl.SSLError as error:
            reason = refusal(error)
            self._lose(ConnectionRefusedForGood(reason) if reason else _lost(error))
        except OSError as error:
            self._lose(_lost(error))
        except Exception as error:  # noqa: BLE001  the top of a thread
            _log.exception("internal error while reading from the broker")
            self._lose(ConnectionLost(f"internal error: {error}"))

    def _finish(self) -> None:
        self.abandon("the connection has ended")
        self._ended()

    def send(self, data: bytes, stop: Stop | None = None, seconds: float | None = None) -> None:
        """Send bytes, complete frames; return when the kernel has taken them.

        Any thread may call this. While the broker accepts nothing, the call waits as long as the
        broker's heart-beats come. A `stop`, or the end of `seconds`, ends the wait and the
        connection.

        Raises:
            ConnectionLost: The connection has ended.
        """
        try:
            if not self._sending.acquire(timeout=-1 if seconds is None else seconds):
                raise TimeoutError(errno.ETIMEDOUT, "it accepts no more data")
            try:
                self._send_all(self._wire.sealed(data), stop, seconds)
            finally:
                self._sending.release()
        except (OSError, ValueError) as error:
            # The broker may have sent an ERROR before it closed the connection. So the I/O
            # thread gets time to read it and to find the end by itself. (ValueError: the socket
            # is closed.)
            if not isinstance(error, TimeoutError):
                self._over.wait(LAST_WORDS)
            self._lose(_lost(error))
            raise self.lost or _lost(error) from None
        self._sent_at = time.monotonic()

    def _send_all(self, data: bytes, stop: Stop | None, seconds: float | None) -> None:
        try:
            sent = self._wire.socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        rest = memoryview(data)[sent:]
        until = None if seconds is None else time.monotonic() + seconds
        stops = () if stop is None else (stop,)
        while rest:
            left = None if until is None else until - time.monotonic()
            ready = wait(*stops, writable=self._wire, seconds=left)
            if not ready or (stop is not None and stop.fileno() in ready):
                raise TimeoutError(errno.ETIMEDOUT, "it accepts no more data")
            with suppress(BlockingIOError):
                rest = rest[self._wire.socket.send(rest, socket.MSG_DONTWAIT) :]

    def abandon(self, reason: str) -> None:
        """End the connection at once; any thread may call it, and it never waits."""
        self._lose(ConnectionLost(reason))

    def close(self) -> None:
        """End the connection and join its threads."""
        self.abandon("closed here")
        for thread in self._threads:
            thread.join(10)
        self._wire.close()

    def _lose(self, reason: ConnectionLost | ProtocolError) -> None:
        with self._first:
            if self.lost is not None:
                return
            self.lost = reason
        self._over.set()
        try:
            # Wakes the threads that read or write; `close` closes the socket once they have left.
            self._wire.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            _log.debug("the socket was closed before")

    def _start_thread(self, run: Callable[[], None]) -> Thread:
        thread = Thread(target=run, name="broker", daemon=True)
        self._threads.append(thread)
        start_thread(thread)
        return thread

    def _keep_pulse(self) -> None:
        intervals = [each for each in (self._beat_every, self._hear_every) if each]
        warned_at = None
        while not self._over.wait(min(intervals) / 4):
            now = time.monotonic()
            if self._beat_every and now - self._sent_at >= self._beat_every / 2:
                self._beat(now)
            silent = now - self._heard_at
            if not self._hear_every or silent <= self._hear_every * GRACE:
                warned_at = None
            elif warned_at is None:
                # After a pause of this process some heart-beats may not have been read yet. So
                # the broker gets one more turn.
                warned_at = now
            else:
                self.abandon(f"no heart-beat from the broker for {silent:.0f} s")

    def _beat(self, now: float) -> None:
        # Data that another thread is sending is a sign of life, too; this thread must not wait.
        if not self._sending.acquire(blocking=False):
            return
        try:
            # Send it only if there is room for all of it: the rest of a TLS record would have to
            # follow before anything else.
            if not wait(writable=self._wire, seconds=0):
                return
            self._send_all(self._wire.sealed(b"\n"), None, 0.0)
        except (OSError, ValueError) as error:
            self._lose(_lost(error))
        finally:
            self._sending.release()
        self._sent_at = now


def _lost(error: Exception) -> ConnectionLost:
    said = error.strerror if isinstance(error, OSError) else None
    return ConnectionLost(said or "the connection has ended")
