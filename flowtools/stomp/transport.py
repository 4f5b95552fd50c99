"""One connection to a broker: bytes in and out, heart-beats, and why it ended.

Two threads belong to a transport, and both end when the connection does: stomp.py's I/O thread
(see library.py), which reads, from `start` on, and from `pulse` on, where heart-beats have been
agreed, one that sends them and watches for the broker's. `close` joins them. Neither ever waits
for anybody who reads events: the I/O thread hands bytes to `deliver`, which must not block.
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
from flowtools.core.wait import Stop, wait
from flowtools.process.tls import refusal
from flowtools.stomp.library import Reading
from flowtools.stomp.wire import Wire

GRACE = 1.5
"""How many times its promised interval a broker may be silent."""

LAST_WORDS = 0.5
"""Seconds that the I/O thread has to read what the broker sent before it hung up."""

UNCONFIRMED = 120.0
"""Seconds that the other side has to answer the system, where no heart-beat is expected: to what
was sent, or to its questions while nothing is (this counts for more than how many of those there
were; tcp(7), TCP_USER_TIMEOUT)."""

Deliver = Callable[[bytes], None]

_log = get_log("flowtools.transport")


class ConnectionLost(Exception):
    """The connection is gone; the text says why.

    Attributes:
        refused: Whether the broker's TLS said no, so that trying again is useless.
    """

    refused = False


class ConnectionRefusedForGood(ConnectionLost):
    """TLS has found that the two sides will never agree."""

    refused = True


class Transport:
    """A connection to a broker, from a connected socket to its end.

    Attributes:
        lost: Why the connection ended; None while it is up.
    """

    def __init__(self, wire: Wire, deliver: Deliver, ended: Callable[[], None]) -> None:
        """Take over a connected `wire`.

        Args:
            wire: A connection; if it has TLS, the handshake is done.
            deliver: Takes what has come, in the I/O thread.
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
        """When something has come in last, in seconds of the monotonic clock."""
        return self._heard_at

    def heard(self) -> None:
        """Count this moment as a sign of life: reading pauses, so none could be seen."""
        self._heard_at = time.monotonic()

    def pulse(self, beat_every: float, hear_every: float) -> None:
        """Send a heart-beat, and expect one, at least every so many seconds; 0: none."""
        self._beat_every = beat_every
        self._hear_every = hear_every
        if not hear_every:
            # Not beside heart-beats, which tell: it would end a connection to a broker that is
            # alive and takes no more for a while, too (tcp(7)).
            milliseconds = round(UNCONFIRMED * 1000)
            with suppress(OSError):  # It has ended, as whoever reads it finds.
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
        """Send bytes, whole frames; return when the system has taken them.

        Any thread may call it. While the broker takes nothing it waits, as long as the
        broker's heart-beats come; a `stop`, or that `seconds` have passed, ends the wait
        and the connection.

        Raises:
            ConnectionLost: The connection is gone.
        """
        try:
            with self._sending:
                self._send_all(self._wire.sealed(data), stop, seconds)
        except (OSError, ValueError) as error:
            # The broker's last words may still be on their way to the I/O thread, which
            # finds the end of the connection by itself. (ValueError: the socket is closed.)
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
                raise TimeoutError(errno.ETIMEDOUT, "it takes no more")
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
            # Wakes whoever reads or writes; `close` closes the socket once they have left.
            self._wire.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            _log.debug("the socket was closed before")

    def _start_thread(self, run: Callable[[], None]) -> Thread:
        thread = Thread(target=run, name="broker", daemon=True)
        self._threads.append(thread)
        thread.start()
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
                # After a pause of this process there may be heart-beats not yet read.
                warned_at = now
            else:
                self.abandon(f"no heart-beat from the broker for {silent:.0f} s")

    def _beat(self, now: float) -> None:
        # Whatever is being sent is a sign of life by itself; and this thread must not wait.
        if not self._sending.acquire(blocking=False):
            return
        try:
            # Not a part of it: under TLS the rest of a record would have to follow.
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
