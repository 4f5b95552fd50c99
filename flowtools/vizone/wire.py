"""The connections that HTTP requests go over, with one time-out for an answer as a whole.

httpx applies its time-out to each read: an answer that comes byte by byte would never reach it. So
httpx sends through a `Wire`, which is a pool of httpcore connections. Each connection counts the
time-out from the first read after the last write, and every further read gets only what is left of
it. Only each single write has a time-out, because an upload as a whole may take hours.

The pool may be used by any thread; httpcore gives a connection to one request at a time. `Wire`
raises httpcore's errors, not httpx's; `transport.py` turns them into those of flowtools.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from flowtools.process.certificates import certificates, ends_at

KEPT = 64
"""Maximum number of idle connections that are kept open."""

KEPT_FOR = 5.0
"""Seconds after which an idle connection is closed."""

_HTTPS = "it speaks TLS on this port; let the address begin with https://"


class Wire(httpx.BaseTransport):
    """A transport for httpx: a pool with any number of connections, none of them over a proxy."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Make an empty pool; `context` checks the certificates of servers."""
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=KEPT,
            keepalive_expiry=KEPT_FOR,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` and return its answer, whose body is still to be read.

        Raises:
            Exception: One of httpcore's errors.
        """
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Content(answer),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()


class _Content(httpx.SyncByteStream):
    """The body of an answer, in pieces as they arrive."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Backend(httpcore.SyncBackend):
    """Opens connections whose reads share one time-out."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    """A connection; one thread uses it at a time.

    It is reused for many requests, so the end of the time-out is forgotten at each write.
    """

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._ends_at: float | None = None
        self._has_received = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is None:
            return self._checked(self._stream.read(max_bytes))
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + timeout
        if now >= self._ends_at:
            raise httpcore.ReadTimeout("the answer as a whole")
        return self._checked(self._stream.read(max_bytes, self._ends_at - now))

    def _checked(self, data: bytes) -> bytes:
        """Return `data`; the first bytes show whether the port speaks TLS instead of HTTP.

        A server that expects TLS answers plain HTTP with a TLS alert, which httpcore would report
        as an illegal status line.
        """
        if not self._has_received and data.startswith(b"\x15\x03"):  # RFC 8446, 5.1.
            raise httpcore.RemoteProtocolError(_HTTPS)
        self._has_received = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._ends_at = None
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout)
        # So that a warning is logged in time before the certificate expires.
        certificates.saw(server_hostname or "", ends_at(secured.get_extra_info("ssl_object")))
        return _Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
