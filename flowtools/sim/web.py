"""The stand-in's HTTP server: hosts, logins, bodies, statuses and simulated faults.

`_Handler` checks a request, lets the faults interfere, gives it to `resources`, and sends the
reply. Everything about assets and files is in the handlers behind `resources`.

`WebServer.start` starts the thread that accepts connections; `close` ends and joins it. Each
connection has a thread of its own, which ends with the connection or with the process.
"""

import base64
import binascii
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flowtools import __version__
from flowtools.core.errors import ProtocolError
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.sim.faults import Faults, Rates
from flowtools.sim.guests import CONNECTIONS, Limited, Names, Sessions
from flowtools.sim.people import People
from flowtools.sim.resources import Refusal, Reply, Request, Resources
from flowtools.sim.vocabulary import GoneError, StaleError, TakenError

MAX_BODY = 64 * 1024 * 1024
"""Maximum size of the body of a request, in bytes."""

FAULTS_PATH = "/sim/faults"
"""Address at which the faults of a running stand-in are read and set; it has no faults itself."""

_PIECES = 20
"""Number of pieces in which a slow body is sent."""

_log = get_log("flowtools.sim")


class WebServer(Limited, HTTPServer):
    """An HTTP/1.1 server on a port of its own.

    Attributes:
        people: Users who may log in.
        faults: The simulated faults.
        names: Names of the host that requests may be addressed to.
        sessions: Sessions of clients that have logged in.
        resources: Handlers of the requests; to be set before `start`.
    """

    daemon_threads = True
    request_queue_size = 128
    refusal = (
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )

    def __init__(
        self,
        host: str,
        port: int,
        people: People,
        faults: Faults | None = None,
        *,
        names: tuple[str, ...] = (),
        session: float | None = None,
        connections: int = CONNECTIONS,
    ) -> None:
        """Open the port; `start` begins to accept connections.

        Args:
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one.
            people: Users who may log in.
            faults: The simulated faults; None for none.
            names: Further names of the host that requests may be addressed to.
            session: Seconds that a session lasts; None: for ever.
            connections: Maximum number of connections at a time.

        Raises:
            OSError: The port cannot be opened.
        """
        super().__init__((host, port), _Handler)
        self.most = connections
        self.people = people
        self.faults = faults or Faults(Rates(), 0)
        self.names = Names(host, *names)
        self.sessions = Sessions(session)
        self.resources: Resources | None = None
        self._thread = Thread(target=self.serve_forever, args=(0.02,), name="sim-http", daemon=True)

    @property
    def port(self) -> int:
        """Port on which it listens."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to accept connections."""
        start_thread(self._thread)

    def close(self) -> None:
        """Stop accepting connections and close the port."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection broke, as a detail only: clients come and go."""
        _log.debug("an HTTP connection has broken", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: WebServer
    protocol_version = "HTTP/1.1"
    server_version = f"flow-sim/{__version__}"
    # Head and body are sent in one packet: as two, with Nagle's algorithm, the second would wait
    # for the acknowledgement of the first, which a client delays by up to 40 ms.
    disable_nagle_algorithm = True
    wbufsize = -1
    # Seconds after which a connection without a request ends, and frees its thread.
    timeout = 300

    def _serve(self) -> None:
        try:
            if not self.server.names.has(self.headers.get("Host", "localhost")):
                raise Refusal(421, "this server does not have that host name; see flow-sim --alias")
            body = self._read_body()
            user = self._user()
            is_over = self.server.sessions.is_over(self.headers.get("Cookie"))
            if user is None or is_over:
                login = {"WWW-Authenticate": 'Basic realm="Viz One", charset="UTF-8"'}
                said = b"the session has expired\n" if is_over else b"login required\n"
                self._send(Reply(said, status=401, headers=login))
                return
            self._answer_with_faults(user, body)
        except Refusal as refusal:
            # The body may be unread, and must not be taken for the next request.
            self.close_connection = True
            self._send(Reply(f"{refusal}\n".encode(), status=refusal.status))

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815  http.server's names

    def _answer_with_faults(self, user: str, body: bytes) -> None:
        # Before the faults, or with 401=1 they could never be ended.
        if self.path == FAULTS_PATH:
            self._send(self._faults(body))
            return
        faults = self.server.faults
        time.sleep(faults.pause())
        if faults.drops():
            self._cut()
            return
        conditional = self.command == "PUT" and "If-Match" in self.headers
        status = faults.status(conditional=conditional)
        if status is not None:
            self._send(Reply(b"a simulated fault; see flow-sim --faults\n", status=status))
            return
        reply = self._answer(user, body)
        if faults.drops():
            # The hard case: the request was carried out, and the client does not learn of it.
            self._cut()
            return
        self._send(faults.disguise(reply), faults.slow_body())

    def _faults(self, body: bytes) -> Reply:
        """Return the present faults; a PUT replaces them."""
        if self.command == "PUT":
            text = body.decode("utf-8", "replace").strip()
            try:
                self.server.faults.rates = Rates.parse(text) if text else Rates()
            except ValueError as error:
                raise Refusal(400, str(error)) from None
        return Reply(f"{self.server.faults.rates}\n".encode())

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, user: str, body: bytes) -> Reply:
        assert self.server.resources is not None
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        etag = self.headers.get("If-Match")
        inline = frozenset(
            each.strip().lower() for each in self.headers.get("X-Inline", "").split(",")
        )
        request = Request(user, self.command, parts.path, query, etag, body, inline)
        try:
            return self.server.resources.answer(request)
        except Refusal as refusal:
            return Reply(f"{refusal}\n".encode(), status=refusal.status)
        except GoneError as error:
            return Reply(f"{error}\n".encode(), status=error.status)
        except TakenError as error:
            return Reply(f"{error}\n".encode(), status=409)
        except StaleError as error:
            return Reply(f"{error}\n".encode(), status=412)
        except ProtocolError as error:
            return Reply(f"{error}\n".encode(), status=400)

    def _read_body(self) -> bytes:
        # http.server does not read chunks, and a body of unknown length could fill the memory.
        if "Transfer-Encoding" in self.headers:
            raise Refusal(411, "a Content-Length is required; chunks are not supported")
        said = self.headers.get("Content-Length", "0")
        if not (said.isascii() and said.isdigit()):
            raise Refusal(400, "the Content-Length is not a number")
        if len(said) > 12 or int(said) > MAX_BODY:
            raise Refusal(413, f"the body is larger than {MAX_BODY} bytes")
        body = self.rfile.read(int(said))
        # The client has gone in the middle; half of an upload is not an upload.
        if len(body) < int(said):
            raise Refusal(400, "the body ends before its Content-Length")
        return body

    def _user(self) -> str | None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            login, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return login if self.server.people.authenticate(login, password) else None

    def _send(self, reply: Reply, seconds: float = 0.0) -> None:
        """Send `reply`; a body that shall take `seconds` is sent in pieces."""
        self.send_response(reply.status)
        if reply.body:
            self.send_header("Content-Type", reply.type)
        if reply.status != 204:
            self.send_header("Content-Length", str(len(reply.body)))
        # As a Viz One does: a client that keeps the cookie goes on in the same session.
        if reply.status < 400 and "Cookie" not in self.headers:
            self.send_header("Set-Cookie", self.server.sessions.open())
        if self.close_connection:
            self.send_header("Connection", "close")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not seconds:
            self.wfile.write(reply.body)
            return
        size = len(reply.body) // _PIECES + 1
        for start in range(0, len(reply.body), size):
            self.wfile.write(reply.body[start : start + size])
            self.wfile.flush()
            time.sleep(seconds / _PIECES)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the server's time, which a fault may shift, for the header Date."""
        return super().date_time_string(
            self.server.faults.time() if timestamp is None else timestamp
        )

    def log_message(self, format: str, *args: Any) -> None:
        """Log the request as a detail (flow-sim -vv)."""
        _log.debug(format, *args)
