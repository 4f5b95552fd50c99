"""Who may come in: connections up to a limit, hosts by their names, sessions for a while."""

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
"""Connections that a server takes at a time, by default."""

MOST_SESSIONS = 10_000
"""Sessions that are remembered, the last ones."""

COOKIE = "session"


class Limited(ThreadingMixIn):
    """A server that refuses connections beyond a limit.

    Attributes:
        most: How many there may be.
        refusal: What one too many is told, in bytes.
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
            request.settimeout(0.5)
            request.sendall(self.refusal)
        except OSError:
            pass  # It has gone; there is nobody to tell.
        self.shutdown_request(request)  # type: ignore[attr-defined]

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection; its place is free afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._counting:
                self._connections -= 1


class Names:
    """The names by which a server may be asked; a page of another site must not reach it.

    An address is always right: what tricks a browser is a name that leads to one of ours.
    """

    def __init__(self, *names: str) -> None:
        """Take `names`, and those that the machine has."""
        self._names = {each.lower() for each in (*names, "localhost", socket.gethostname())}

    def has(self, host: str) -> bool:
        """Return whether `host`, a Host header, is one of ours."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        name = name.removeprefix("[").removesuffix("]").lower().rstrip(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


class Sessions:
    """The sessions of those who have logged in; any thread may ask."""

    def __init__(self, seconds: float | None) -> None:
        """Let each last for `seconds`; None: for ever."""
        self._seconds = seconds
        self._lock = Lock()
        self._opened: OrderedDict[str, float] = OrderedDict()

    def open(self) -> str:
        """Return the cookie of a new session."""
        name = uuid.uuid4().hex
        with self._lock:
            self._opened[name] = time.monotonic()
            if len(self._opened) > MOST_SESSIONS:
                self._opened.popitem(last=False)
        return f"{COOKIE}={name}; Path=/; HttpOnly"

    def is_over(self, cookie: str | None) -> bool:
        """Return whether `cookie`, a Cookie header, is of a session that has ended."""
        if self._seconds is None or cookie is None:
            return False
        try:
            found = SimpleCookie(cookie).get(COOKIE)
        except CookieError:
            found = None
        with self._lock:
            opened = self._opened.get(found.value) if found is not None else None
        return opened is None or time.monotonic() - opened >= self._seconds
