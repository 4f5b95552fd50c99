"""The socket under a broker session: stomp.py's transport, with its weak places covered.

Two threads belong to a transport, and both end when the connection does: stomp.py's I/O thread,
which reads (and over TLS writes), from `start` on, and from `pulse` on, where heart-beats have
been agreed, one that sends them and watches for the broker's. `close` joins them. Neither ever
waits for anybody who reads events: the I/O thread hands bytes to `deliver`, which must not block.

What stomp.py 9.0.0 does otherwise: it takes the end of a TLS stream for "nothing yet" and
spins; on a heart-beat time-out over TLS it waits for the dead broker's goodbye; its
heart-beat thread can hang behind a send that hangs; it tries to reconnect by itself.
"""

import errno
import os
import select
import selectors
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event as Flag
from threading import Lock, Thread

from flowtools.core.errors import ProtocolError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop
from flowtools.process.tls import refusal

# Without this, importing stomp.py asks the name service for this machine's own names.
os.environ.setdefault("STOMP_SKIP_HOSTNAME_SCAN", "1")

import stomp.transport
import stomp.utils

CHUNK = 262144
"""Bytes read at a time: more than a busy broker sends in a breath (see session.py)."""

GRACE = 1.5
"""How many times its promised interval a broker may be silent."""

LAST_WORDS = 0.5
"""Seconds that the I/O thread has to read what the broker sent before it hung up."""

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


class Transport(stomp.transport.Transport):  # type: ignore[misc]
    """A connection to a broker, from a connected socket to its end.

    Attributes:
        lost: Why the connection ended; None while it is up.
    """

    def __init__(
        self, connected: socket.socket, deliver: Deliver, ended: Callable[[], None]
    ) -> None:
        """Take over a `connected` socket.

        Args:
            connected: A TCP socket, or one with TLS whose handshake is done.
            deliver: Takes what has come, in the I/O thread.
            ended: Called once, when the connection has ended and `lost` says why.
        """
        super().__init__(prefer_localhost=False, try_loopback_connect=False, auto_decode=False)
        self.lost: ConnectionLost | ProtocolError | None = None
        self.override_threading(self._start_thread)
        self._given = connected
        self._deliver = deliver
        self._ended = ended
        self._over = Flag()
        self._first = Lock()
        self._sending = Lock()
        self._threads: list[Thread] = []
        self._beat_every = 0.0
        self._hear_every = 0.0
        self._sent_at = self._heard_at = time.monotonic()

    def attempt_connection(self) -> None:
        """Begin with the socket that was given; called by stomp.py's `start`."""
        self.socket = self._given
        if isinstance(self.socket, ssl.SSLSocket):
            # An OpenSSL connection must not be read and written by two threads at once:
            # stomp.py then lets its I/O thread do both, with what it finds in this queue.
            self.send_queue = stomp.utils.PollableQueue()
            self.sel = selectors.DefaultSelector()
            self.sel.register(self.send_queue, selectors.EVENT_READ)
            self.sel.register(self.socket, selectors.EVENT_READ)
            self.blocking = False
        self.socket.setblocking(self.blocking)

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
        if beat_every or hear_every:
            self._start_thread(self._keep_pulse)

    def receive(self) -> bytes:
        """Read and deliver until the connection ends; called by the I/O thread.

        Over TLS this leaves by stomp.py's own way as soon as there is nothing to read.
        """
        try:
            while self.running and self.socket is not None:
                chunk = self.socket.recv(CHUNK)
                if not chunk:
                    self.abandon("the broker has closed it")
                    break
                self._heard_at = time.monotonic()
                self._deliver(chunk)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            reason = refusal(error)
            self._lose(ConnectionRefusedForGood(reason) if reason else _lost(error))
        except OSError as error:
            self._lose(_lost(error))
        except Exception as error:  # noqa: BLE001  the top of a thread
            _log.exception("internal error while reading from the broker")
            self._lose(ConnectionLost(f"internal error: {error}"))
        # stomp.py takes this for "nothing yet" over TLS, and looks at `running` then.
        return b""

    def send(
        self, encoded_frame: bytes, stop: Stop | None = None, seconds: float | None = None
    ) -> None:
        """Send bytes, whole frames; return when the system has taken them.

        Any thread may call it. While the broker takes nothing it waits, as long as the
        broker's heart-beats come; a `stop`, or that `seconds` have passed, ends the wait
        and the connection. Over TLS the I/O thread has them to send, and nothing waits.

        Raises:
            ConnectionLost: The connection is gone.
        """
        try:
            if self.blocking:
                with self._sending:
                    self._send_all(encoded_frame, stop, seconds)
            else:
                self.send_queue.put(encoded_frame)
        except (OSError, AttributeError, ValueError) as error:
            # The broker's last words may still be on their way to the I/O thread, which
            # finds the end of the connection by itself. (The socket is None after that.)
            if not isinstance(error, TimeoutError):
                self._over.wait(LAST_WORDS)
            self._lose(_lost(error))
            raise self.lost or _lost(error) from None
        self._sent_at = time.monotonic()

    def _send_all(self, data: bytes, stop: Stop | None, seconds: float | None) -> None:
        try:
            sent = self.socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        poller = select.poll()
        poller.register(self.socket, select.POLLOUT)
        if stop is not None:
            poller.register(stop.fileno(), select.POLLIN)
        rest = memoryview(data)[sent:]
        until = None if seconds is None else time.monotonic() + seconds
        while rest:
            left = None if until is None else max(0.0, until - time.monotonic()) * 1000
            ready = dict(poller.poll(left))
            if not ready or (stop is not None and stop.fileno() in ready):
                raise TimeoutError(errno.ETIMEDOUT, "it takes no more")
            with suppress(BlockingIOError):
                rest = rest[self.socket.send(rest, socket.MSG_DONTWAIT) :]

    def abandon(self, reason: str) -> None:
        """End the connection at once; any thread may call it, and it never waits."""
        self._lose(ConnectionLost(reason))

    def close(self) -> None:
        """End the connection and join its threads."""
        self.abandon("closed here")
        for thread in self._threads:
            thread.join(10)

    def disconnect_socket(self) -> None:
        """End the connection without a goodbye: nothing here waits for a dead broker."""
        self.abandon("closed here")

    def notify(self, frame_type: str, frame: object = None) -> None:
        """Note the end of the connection; stomp.py's listeners are not used."""
        if frame_type == "disconnected":
            self.abandon("the connection has ended")
            self._ended()

    def _lose(self, reason: ConnectionLost | ProtocolError) -> None:
        with self._first:
            if self.lost is not None:
                return
            self.lost = reason
        self.running = False
        self._over.set()
        try:
            # Past SSLSocket's own shutdown, which is not meant for a second thread. Wakes
            # whoever reads or writes; the I/O thread closes the socket.
            socket.socket.shutdown(self._given, socket.SHUT_RDWR)
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
        try:
            if not self.blocking:
                if self.send_queue.empty():
                    self.send_queue.put(b"\n")
            elif self._sending.acquire(blocking=False):
                try:
                    self.socket.send(b"\n", socket.MSG_DONTWAIT)
                finally:
                    self._sending.release()
        except BlockingIOError:
            return
        except (OSError, AttributeError, ValueError) as error:
            self._lose(_lost(error))
        self._sent_at = now


def _lost(error: Exception) -> ConnectionLost:
    said = error.strerror if isinstance(error, OSError) else None
    return ConnectionLost(said or "the connection has ended")
