"""A pool of connections whose answers have a time-out as a whole.

httpx gives each read a time-out of its own: an answer that comes byte by byte would never
reach it. Here it counts from the first read after what was sent last, as long as that takes.
"""

import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore

from flowtools.vizone.lean import httpx

KEPT = 64
"""Connections that are kept open while nobody uses them."""

KEPT_FOR = 5.0
"""Seconds that they are."""


class Pool(httpx.HTTPTransport):
    """What httpx sends with: any number of connections, none of them over a proxy."""

    def __init__(self, context: ssl.SSLContext) -> None:
        """Make an empty pool; `context` judges certificates."""
        super().__init__(verify=context, trust_env=False)
        # Only httpcore's own pool takes a backend.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=KEPT,
            keepalive_expiry=KEPT_FOR,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
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
    """A connection; one thread uses it at a time."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._ends_at: float | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is None:
            return self._stream.read(max_bytes)
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + timeout
        if now >= self._ends_at:
            raise httpcore.ReadTimeout("the answer as a whole")
        return self._stream.read(max_bytes, self._ends_at - now)

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
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
