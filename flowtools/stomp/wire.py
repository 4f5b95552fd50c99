"""A connected socket, plain or under TLS, that one thread reads and any thread writes.

Two threads must not read and write an OpenSSL connection at the same time, and `ssl.SSLSocket`
returns one record per call, which on RabbitMQ is one message. So TLS is done in memory
(`ssl.MemoryBIO`, "Memory BIO Support" in the documentation of Python's ssl). The socket is read in
large pieces without a lock; a lock is held only while bytes are encrypted or decrypted.
"""

import socket
import ssl
from threading import Lock

from flowtools.process.certificates import ends_at

CHUNK = 262144
"""Bytes read at a time: more than a busy broker sends within BREATH (session.py)."""


class Wire:
    """The bytes of a connection.

    Attributes:
        socket: The TCP socket.
        tls: The TLS connection on it; None if it is plain.
        certificate_ends: The expiry time of the other side's certificate (seconds since the
            epoch); None if it is not known.
    """

    def __init__(
        self, connected: socket.socket, context: ssl.SSLContext | None = None, host: str = ""
    ) -> None:
        """Take over a `connected` socket; with `context`, call `step` until it says done."""
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
        """Continue the TLS handshake; return whether it is done, and the bytes to send.

        Raises:
            ssl.SSLError: The handshake has failed.
        """
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._out.read()
        self.certificate_ends = ends_at(self.tls)
        return True, self._out.read()

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket for TLS; b"": the other side has closed the connection."""
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def unsent(self) -> bytes:
        """Return the bytes of TLS that are still to be sent, such as the alert after an error."""
        return self._out.read()

    def sealed(self, data: bytes) -> bytes:
        """Return `data` encrypted for the socket; the caller must send the result next.

        Raises:
            ssl.SSLError: The connection has ended.
        """
        if self.tls is None:
            return data
        view = memoryview(data)
        with self._sealing:
            while view:
                view = view[self.tls.write(view) :]
            # This includes what TLS sends by itself, such as the answer to a change of keys.
            return self._out.read()

    def receive(self) -> bytes:
        """Wait for bytes and return them decrypted; b"": the other side has closed.

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
        """Return the decrypted bytes, and whether the connection has ended."""
        assert self.tls is not None
        opened: list[bytes] = []
        try:
            while data := self.tls.read(CHUNK):
                opened.append(data)
        except ssl.SSLWantReadError:
            return b"".join(opened), False
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass  # The other side has closed, with a TLS goodbye or without one.
        except ssl.SSLError:
            if not opened:
                raise
            return b"".join(opened), False  # The next call meets the error again and raises it.
        return b"".join(opened), True

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
