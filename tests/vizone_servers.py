"""Servers for the Viz One tests: the stand-in in this process, and one with scripted answers."""

import socket
import threading
from contextlib import contextmanager

from flowtools.sim.standin import Plan, StandIn
from flowtools.vizone import Account, Client
from tests.running import SECONDS


@contextmanager
def stand_in(**plan):
    """A stand-in in this process, serving on free ports."""
    server = StandIn(Plan(**plan))
    server.start()
    try:
        yield server
    finally:
        server.close()


def account_of(server, user="admin", **more):
    return Account(server.url, user, server.password, **more)


@contextmanager
def client_of(server, **more):
    with Client(account_of(server), pauses=(0.0, 0.0, 0.0), **more) as client:
        yield client


@contextmanager
def client_at(url, *, seconds=20.0, pauses=(0.0, 0.0, 0.0)):
    with Client(Account(url, "anna", "s3cret"), seconds=seconds, pauses=pauses) as client:
        yield client


def reply(body=b"", status="200 OK", **headers):
    """The bytes of an HTTP answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Scripted:
    """Answers each request with the next of `replies`, whatever the request is.

    `requests` has the heads of the requests, as text. An answer of b"" closes the
    connection; None leaves the request without an answer.
    """

    def __init__(self, *replies):
        self.replies = list(replies)
        self.requests = []
        self.bodies = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open = []
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)
        for each in self._open:
            each.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            self._serve(connection)

    def _serve(self, connection):
        connection.settimeout(SECONDS)
        with connection.makefile("rb") as incoming:
            while self._answer(connection, incoming):
                pass
        if not (self.replies and self.replies[0] is None):
            connection.close()

    def _answer(self, connection, incoming):
        head = []
        try:
            while line := incoming.readline().decode().strip():
                head.append(line)
        except OSError:
            return False
        if not head:
            return False
        length = [line for line in head if line.lower().startswith("content-length:")]
        self.bodies.append(incoming.read(int(length[0].split(":")[1])) if length else b"")
        self.requests.append("\n".join(head))
        answer = self.replies.pop(0)
        if answer is None:
            self.replies.insert(0, None)
            return False
        connection.sendall(answer)
        return bool(answer)
