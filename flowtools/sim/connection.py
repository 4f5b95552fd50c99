"""A client's connection to the stand-in's broker, and its two threads.

CoilMQ's server starts a thread for each connection, which reads frames and carries them out
(`handle`). That thread starts a second one, which writes queued frames and heart-beats
(`_write`), and joins it at the end. Any thread may queue a frame (`send_frame`) and never waits:
a client that does not read delays no other client and no publisher. Its queue is bounded by
MAX_UNSENT bytes; beyond that the client is disconnected.
"""

import socket
import time
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain
from threading import Condition, Thread

from coilmq.engine import StompEngine
from coilmq.exception import AuthError, ProtocolError
from coilmq.protocol import STOMP11, STOMP12, protocol_class_from_first_frame
from coilmq.server.socket_server import StompRequestHandler
from coilmq.util.frames import Frame

from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import wait
from flowtools.sim.frames import FrameReader, pack
from flowtools.sim.session import Session

MAX_UNSENT = 32 * 1024 * 1024
"""Bytes that may wait for a client that does not read; beyond that it is disconnected."""

VERSIONS = ("1.0", "1.1", "1.2")
"""The versions of STOMP that the broker speaks."""

_VERSIONS = {STOMP11: "1.1", STOMP12: "1.2"}

_log = get_log("flowtools.sim")


class Handler(StompRequestHandler):  # type: ignore[misc]
    """One connection; CoilMQ's server calls `setup` and `handle` in a thread of its own.

    Attributes:
        buffer: Reader of the client's frames; also knows the version that was agreed on.
        beat: Seconds between heart-beats to the client; None to send none.
        patience: Seconds of silence after which the client counts as gone; None: no limit.
    """

    def setup(self) -> None:
        """Prepare the connection before anything is read."""
        # Messages are small: with Nagle's algorithm they would wait for acknowledgements of TCP.
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = FrameReader()
        self.beat: float | None = None
        self.patience: float | None = None
        self._unsent: deque[bytes] = deque()
        self._unsent_bytes = 0
        self._ended = False
        self._changed = Condition()
        self._writer = Thread(target=self._write, name="sim-stomp-writer", daemon=True)

    def handle(self) -> None:
        """Serve the client until it, or the server, ends the connection."""
        start_thread(self._writer)
        engine = None
        try:
            incoming = self.iter_frames()
            first = next(incoming, None)
            if first is None:
                return
            # CoilMQ negotiates the version and names it by a class, which is not used otherwise.
            version = _VERSIONS.get(protocol_class_from_first_frame(first), "1.0")
            delivery = self.server.queue_manager
            engine = StompEngine(
                self,
                self.server.authenticator,
                delivery,
                delivery,
                partial(Session, version=version),
            )
            for frame in chain([first], incoming):
                if not self._process(engine, frame) or engine.protocol.closing:
                    return
        except ProtocolError as error:
            # At the first frame the version may be the reason: STOMP 1.2 wants the versions that
            # the server speaks in such an ERROR ("Protocol Negotiation").
            self._refuse(str(error), {} if engine else {"version": ",".join(VERSIONS)})
        except OSError as error:
            _log.debug("a STOMP client has gone: %s", error)
        finally:
            # First the subscriptions, so that unacknowledged messages go to other clients at once,
            # even if the writing thread still needs seconds for this client.
            if engine is not None:
                engine.unbind()
            self._end()

    def iter_frames(self) -> Iterator[Frame]:
        """Yield the client's frames until it closes the connection or the server ends.

        Raises:
            ProtocolError: A frame is malformed, or the client's heart-beats have stopped.
            OSError: The connection broke.
        """
        heard = time.monotonic()
        while not self.server.shutdown_requested.is_set():
            # 0.2 seconds: how soon the end of the server, or a silent client, is noticed.
            if not wait(self.request, seconds=0.2):
                if self.patience is not None and time.monotonic() - heard > self.patience:
                    raise ProtocolError("no heart-beat has come from the client in time")
                continue
            data = self.request.recv(65536)
            if not data:
                return
            heard = time.monotonic()
            self.buffer.append(data)
            yield from self.buffer

    def send_frame(self, frame: Frame) -> None:
        """Queue `frame` to be sent; disconnect a client with more than MAX_UNSENT bytes queued."""
        packed = pack(frame, self.buffer.version)
        with self._changed:
            # Until its threads have noticed, a disconnected client still has subscriptions.
            if self._ended:
                return
            self._unsent.append(packed)
            self._unsent_bytes += len(packed)
            too_much = self._unsent_bytes > MAX_UNSENT
            self._changed.notify()
        if too_much:
            _log.warning("disconnecting a STOMP client that does not read")
            self.drop()

    def drop(self) -> None:
        """Close the connection at once, without the queued frames; its threads notice and end."""
        with self._changed:
            self._ended = True
            self._unsent.clear()
            self._changed.notify()
        # Not close(): the reading thread may be in the middle of a system call on this descriptor.
        try:
            self.request.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # It is closed already.

    def _process(self, engine: StompEngine, frame: Frame) -> bool:
        """Carry out `frame`; if it is in error, answer ERROR and return False."""
        try:
            engine.process_frame(frame)
        except (ProtocolError, AuthError) as error:
            receipt = frame.headers.get("receipt")
            self._refuse(str(error), {} if receipt is None else {"receipt-id": receipt})
            return False
        return True

    def _refuse(self, reason: str, more: dict[str, str]) -> None:
        headers = {"message": reason, "content-type": "text/plain"} | more
        self.send_frame(Frame("ERROR", headers, reason))

    def _end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._writer.join(timeout=5)
        # If input is unread, close() resets the connection, and the client may lose our last
        # frame, an ERROR with the reason. So the connection is shut down first.
        self.drop()

    def _write(self) -> None:
        try:
            while (packed := self._next()) is not None:
                self.request.sendall(packed)
        except OSError as error:
            _log.debug("a STOMP client has gone: %s", error)

    def _next(self) -> bytes | None:
        """Return the bytes to send next: queued frames, or a heart-beat; None at the end."""
        with self._changed:
            while not self._unsent and not self._ended:
                if not self._changed.wait(self.beat):
                    return b"\n"
            if not self._unsent:
                return None
            # All at once: one system call for however many messages have come meanwhile.
            packed = b"".join(self._unsent)
            self._unsent.clear()
            self._unsent_bytes = 0
            return packed
