"""What the servers accept: a number of connections, names of the host, sessions for a while.

`Limited` is a part of both servers (broker.py, web.py); `Names` and `Sessions` are for HTTP.
"""

import ipaddress
import socket
import time
import uuid
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from socketserver import ThreadingMixIn
from threading import Lock
from typing import Any

from flowtools.sim.settings import Plan

CONNECTIONS = Plan.connections
"""Default limit of the connections that a server has at a time."""

MOST_SESSIONS = 10_000
"""Number of sessions that are remembered; the oldest is forgotten first, as if it had expired."""

COOKIE = "session"


class Limited(ThreadingMixIn):
    """A server with a thread for each connection, and a limit on their number.

    Attributes:
        most: Maximum number of connections at a time.
        refusal: Bytes that a connection beyond the limit is answered with before it is closed.
    """

    most = CONNECTIONS
    refusal = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._counting = Lock()
        self._connections = 0
        super().__init__(*args, **kwargs)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, or refuse it."""
        with self._counting:
            is_too_many = self._connections >= self.most
            if not is_too_many:
                self._connections += 1
        if not is_too_many:
            super().process_request(request, client_address)
            return
        try:
            # This is the thread that accepts connections: a client that does not read must not
            # keep it from the others.
            request.settimeout(0.5)
            request.sendall(self.refusal)
        except OSError:
            pass  # The client has gone already.
        self.shutdown_request(request)  # type: ignore[attr-defined]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._connections -= 1


class Names:
    """Names of the host that a request may be addressed to.

    A page of another site could reach the stand-in through a name that it lets point to this
    machine (DNS rebinding); the browser then sends that name as Host. An IP address cannot be
    used in this way, so any address is accepted.
    """

    def __init__(self, *names: str) -> None:
        """Accept `names`, localhost and the name of this machine."""
        self._names = {each.lower() for each in (*names, "localhost", socket.gethostname())}

    def has(self, host: str) -> bool:
        """Return whether `host`, the value of a Host header, is accepted; its port is ignored."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.removeprefix("[").removesuffix("]").lower().rstrip(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


class Sessions:
    """The sessions of HTTP clients, known by their cookie. Thread-safe."""

    def __init__(self, seconds: float | None) -> None:
        """Let each session last for `seconds`; None: for ever."""
        self._seconds = seconds
        self._lock = Lock()
        self._opened: OrderedDict[str, float] = OrderedDict()

    def open(self) -> str:
        """Begin a session; return the value of its Set-Cookie header."""
        name = uuid.uuid4().hex
        with self._lock:
            self._opened[name] = time.monotonic()
            if len(self._opened) > MOST_SESSIONS:
                self._opened.popitem(last=False)
        return f"{COOKIE}={name}; Path=/; HttpOnly"

    def is_over(self, cookie: str | None) -> bool:
        """Return whether `cookie`, the value of a Cookie header, is not of a valid session.

        A request without a cookie is fine: it logs in with a name and a password.
        """
        if self._seconds is None or cookie is None:
            return False
        try:
            found = SimpleCookie(cookie).get(COOKIE)
        except CookieError:
            found = None
        with self._lock:
            opened = self._opened.get(found.value) if found is not None else None
        return opened is None or time.monotonic() - opened >= self._seconds
