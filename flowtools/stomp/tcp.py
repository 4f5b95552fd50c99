"""Opens a connection to a host by name, with TLS if asked; a time-out or a stop ends the attempt.

Everything runs in the caller's thread. The socket does not block, so that each wait, for the
connection and for the steps of the TLS handshake, can end at the deadline or at the stop.
"""

import os
import socket
import ssl
import time
from contextlib import suppress

from flowtools.core.wait import Stop, wait
from flowtools.process.tls import refusal
from flowtools.stomp.transport import ConnectionLost, ConnectionRefusedForGood
from flowtools.stomp.wire import CHUNK, Wire

UNHEARD = 30.0
"""Seconds of silence before TCP keep-alive probes begin, with --heart-beat OUT,0."""

_PLAIN = "it may not speak TLS on this port"


def open_socket(
    host: str,
    port: int,
    context: ssl.SSLContext | None,
    stop: Stop,
    seconds: float,
    keep_alive: float = 0.0,
) -> Wire:
    """Connect to `host`, with TLS if `context` is given; try each of its addresses.

    `keep_alive` is the time of silence, in seconds, before TCP keep-alive probes begin; 0: UNHEARD.

    Raises:
        ConnectionLost: The host cannot be reached, `seconds` have passed, or `stop` is set.
        ConnectionRefusedForGood: The TLS handshake fails in a way that another try cannot mend.
    """
    deadline = time.monotonic() + seconds
    failure = ConnectionLost("it has no address")
    try:
        # No stop ends this call; the resolver has time-outs of its own (resolv.conf(5)).
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(_reason(error)) from None
    for family, kind, protocol, _, address in addresses:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.setblocking(False)
            _connect(connected, address, stop, deadline)
            # Without it an acknowledgement would wait until TCP has confirmed the one before.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(connected, keep_alive)
            wire = Wire(connected, context, host)
            if context is not None:
                _encrypt(wire, stop, deadline)
            return wire
        except ConnectionRefusedForGood:
            connected.close()
            raise
        except ConnectionLost as error:
            connected.close()
            failure = error
    raise failure


def _keep_alive(connected: socket.socket, seconds: float) -> None:
    """Let the kernel detect a dead connection (tcp(7)); see also Transport.pulse."""
    idle = max(1, round(seconds or UNHEARD))
    # Three probes, so a dead connection is noticed after twice `idle` seconds.
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, idle // 3))
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


def _connect(connecting: socket.socket, address: object, stop: Stop, deadline: float) -> None:
    try:
        connecting.connect(address)  # type: ignore[arg-type]
    except BlockingIOError:
        _wait(connecting, stop, deadline, writable=True)
        # Writable means that the attempt has ended, and not that it succeeded (connect(2)).
        number = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise ConnectionLost(os.strerror(number).lower()) from None
    except OSError as error:
        raise ConnectionLost(_reason(error)) from None


def _encrypt(wire: Wire, stop: Stop, deadline: float) -> None:
    try:
        is_done = False
        while not is_done:
            is_done, out = wire.step()
            while out:
                _wait(wire.socket, stop, deadline, writable=True)
                out = out[wire.socket.send(out) :]
            if not is_done:
                _wait(wire.socket, stop, deadline, silent=f"no TLS handshake comes back; {_PLAIN}")
                wire.feed(wire.socket.recv(CHUNK))
    # Python 3.11.2, that of Debian 12, reports this end as an orderly one.
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        raise ConnectionLost(f"it ends the connection in the TLS handshake; {_PLAIN}") from None
    except ssl.SSLError as error:
        _say_goodbye(wire)
        reason = refusal(error)
        if reason is not None:
            raise ConnectionRefusedForGood(reason) from None
        raise ConnectionLost(_reason(error)) from None
    except OSError as error:
        raise ConnectionLost(_reason(error)) from None


def _say_goodbye(wire: Wire) -> None:
    """Send the TLS alert that tells the other side why the handshake failed."""
    with suppress(OSError):
        wire.socket.send(wire.unsent())


def _wait(
    waiting: socket.socket,
    stop: Stop,
    deadline: float,
    *,
    writable: bool = False,
    silent: str = "it does not answer",
) -> None:
    left = deadline - time.monotonic()
    if writable:
        ready = wait(stop, writable=waiting, seconds=left)
    else:
        ready = wait(stop, waiting, seconds=left)
    if not ready:
        raise ConnectionLost(silent)
    if stop.fileno() in ready:
        raise ConnectionLost("stopped")


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said[:1].lower() + said[1:]
