"""From a host name to a connected socket, within a time-out and interrupted by a stop."""

import os
import select
import socket
import ssl
import time

from flowtools.core.wait import Stop
from flowtools.process.tls import refusal
from flowtools.stomp.transport import ConnectionLost, ConnectionRefusedForGood


def open_socket(
    host: str, port: int, context: ssl.SSLContext | None, stop: Stop, seconds: float
) -> socket.socket:
    """Connect to `host`, with TLS where there is a `context`; try each of its addresses.

    Raises:
        ConnectionLost: It cannot be reached, `seconds` have passed, or `stop` is set.
        ConnectionRefusedForGood: TLS will never come about.
    """
    deadline = time.monotonic() + seconds
    failure = ConnectionLost("it has no address")
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(_reason(error)) from None
    for family, kind, protocol, _, address in addresses:
        connected = socket.socket(family, kind, protocol)
        try:
            connected.setblocking(False)
            _connect(connected, address, stop, deadline)
            # An acknowledgement must not wait until the one before has been received.
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return (
                connected if context is None else _encrypt(connected, context, host, stop, deadline)
            )
        except ConnectionRefusedForGood:
            connected.close()
            raise
        except ConnectionLost as error:
            connected.close()
            failure = error
    raise failure


def _connect(connecting: socket.socket, address: object, stop: Stop, deadline: float) -> None:
    try:
        connecting.connect(address)  # type: ignore[arg-type]
    except BlockingIOError:
        _wait(connecting, select.POLLOUT, stop, deadline)
        number = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise ConnectionLost(os.strerror(number).lower()) from None
    except OSError as error:
        raise ConnectionLost(_reason(error)) from None


def _encrypt(
    plain: socket.socket, context: ssl.SSLContext, host: str, stop: Stop, deadline: float
) -> ssl.SSLSocket:
    wrapped = context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        while True:
            try:
                wrapped.do_handshake()
            except ssl.SSLWantReadError:
                _wait(wrapped, select.POLLIN, stop, deadline)
            except ssl.SSLWantWriteError:
                _wait(wrapped, select.POLLOUT, stop, deadline)
            else:
                return wrapped
    except ssl.SSLError as error:
        wrapped.close()
        reason = refusal(error)
        if reason is not None:
            raise ConnectionRefusedForGood(reason) from None
        raise ConnectionLost(_reason(error)) from None
    except OSError as error:
        wrapped.close()
        raise ConnectionLost(_reason(error)) from None
    except BaseException:
        wrapped.close()
        raise


def _wait(waiting: socket.socket, event: int, stop: Stop, deadline: float) -> None:
    poller = select.poll()
    poller.register(waiting, event)
    poller.register(stop.fileno(), select.POLLIN)
    ready = dict(poller.poll(max(0.0, deadline - time.monotonic()) * 1000))
    if not ready:
        raise ConnectionLost("it does not answer")
    if stop.fileno() in ready:
        raise ConnectionLost("stopped")


def _reason(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said[:1].lower() + said[1:]
