"""A connected socket, plain or under TLS, that one thread reads and any other writes.

An OpenSSL connection must not be read and written by two threads at once, and `ssl.SSLSocket`
returns one record a call, which on RabbitMQ is one message. So TLS is done in memory
(`ssl.MemoryBIO`, "Memory BIO Support" in the documentation of Python's ssl): the socket is
read in large pieces without any lock, and a lock is held only while bytes are sealed or opened.
"""

import socket
import ssl
from threading import Lock

from flowtools.process.certificates import ends_at

CHUNK = 262144
"""Bytes read at a time: more than a busy broker sends in a breath (see session.py)."""


class Wire:
    """The bytes of a connection.

    Attributes:
        socket: The TCP socket.
        tls: The TLS connection on it; None where it is plain.
        certificate_ends: When the other side's certificate ends (seconds of the epoch); None
            where that is not known.
    """

    def __init__(
        self, connected: socket.socket, context: ssl.SSLContext | None = None, host: str = ""
    ) -> None:
        """Take over a `connected` socket; with `context`, `step` comes next, until it is done."""
        self.socket = connected
        self.tls: ssl.SSLObject | None = None
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._sealing = Lock()
        self.certificate_ends: float | None = None
        if context is not None:
            self.tls = context.wrap_bio(self._in, self._out, server_hostname=host)

    def fileno(self) -> int:
        """Return the file descriptor of the socket."""
        return self.socket.fileno()

    def step(self) -> tuple[bool, bytes]:
        """Go on with the TLS handshake; return whether it is done, and what is to be sent.

        Raises:
            ssl.SSLError: It cannot be done.
        """
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._out.read()
        self.certificate_ends = ends_at(self.tls)
        return True, self._out.read()

    def feed(self, data: bytes) -> None:
        """Take bytes of the handshake; b"": the other side has closed the connection."""
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def unsent(self) -> bytes:
        """Return what TLS still has to say after an error of the handshake: its alert."""
        return self._out.read()

    def sealed(self, data: bytes) -> bytes:
        """Return `data` as it goes over the socket; whoever calls it sends that next.

        Raises:
            ssl.SSLError: The connection has ended.
        """
        if self.tls is None:
            return data
        view = memoryview(data)
        with self._sealing:
            while view:
                view = view[self.tls.write(view) :]
            # With it goes what TLS has to say by itself, such as an answer to a change of keys.
            return self._out.read()

    def receive(self) -> bytes:
        """Wait for bytes and return them; b"": the other side has closed the connection.

        Raises:
            OSError: The connection has failed, or TLS has (ssl.SSLError).
        """
        if self.tls is None:
            return self.socket.recv(CHUNK)
        while True:
            with self._sealing:
                opened, is_over = self._opened()
            if opened or is_over:
                return opened
            self.feed(self.socket.recv(CHUNK))

    def _opened(self) -> tuple[bytes, bool]:
        """Return what has come, and whether nothing comes any more."""
        assert self.tls is not None
        opened: list[bytes] = []
        try:
            while data := self.tls.read(CHUNK):
                opened.append(data)
        except ssl.SSLWantReadError:
            return b"".join(opened), False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass  # Without a goodbye, or with one: an end is an end.
        except ssl.SSLError:
            if not opened:
                raise
            return b"".join(opened), False  # It comes again with the next call.
        return b"".join(opened), True

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
