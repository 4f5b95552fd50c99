"""--metrics: serves the figures of a running command over HTTP, for Prometheus and for people.

`/metrics` is for Prometheus, `/healthz` for a load balancer or a monitoring system (200, or 503
with the reason), `/` for people; every other path gives 404. A request is answered only if its Host
header is an address, localhost, or a name of this machine. So a web page that is opened in a
browser on this network cannot read the figures under its own name (DNS rebinding).

`start` starts a thread that accepts connections; each request gets a thread of its own. `close`
ends and joins the accepting thread.
"""

import errno
import html
import os
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import Any
from urllib.parse import unquote
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.core.threads import start_thread
from flowtools.process.vitals import FIGURES, Vitals

REQUEST_SECONDS = 10.0
"""Seconds that a client has for its request and its answer, however slowly it sends or reads."""

MOST_CLIENTS = 32
"""Maximum number of requests that are answered at a time; further clients are disconnected."""

_ABSOLUTE = re.compile(r"(?i:https?)://([^/?#]*)(/[^?]*)?")
_ADDRESS = re.compile(r"(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:\[\]]+)):([0-9]{1,5})")


class MetricsServer:
    """Serves the figures of one process.

    Attributes:
        registry: The collectors that `/metrics` shows; more may be registered.
        port: The TCP port; None on a Unix socket.
    """

    def __init__(self, address: str, command: str, vitals: Vitals) -> None:
        """Prepare to serve at `address`: HOST:PORT, [HOST]:PORT or unix:PATH; port 0: a free one.

        Raises:
            UsageError: `address` has another form.
            ConfigurationError: The server cannot listen at `address`.
        """
        self.registry = CollectorRegistry()
        self.registry.register(_VitalsCollector(vitals))
        ProcessCollector(registry=self.registry)
        self._path: Path | None = None
        self.port: int | None = None
        host = self._bind(address)
        self._server.set_app(_application(self.registry, command, vitals, host))
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Start serving."""
        start_thread(self._thread)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def _bind(self, address: str) -> str:
        """Listen at `address`; return its host name, or "" for a Unix socket."""
        try:
            if address.startswith("unix:") and address != "unix:":
                self._path = Path(address.removeprefix("unix:"))
                _remove_dead(self._path)
                self._server: WSGIServer = _UnixServer(str(self._path), _Handler)
                self._path.chmod(0o660)
                return ""
            found = _ADDRESS.fullmatch(address)
            if not found or int(found[3]) > 65535:
                raise UsageError(
                    f"'{address}' is not an address: write HOST:PORT, such as localhost:9464, or"
                    " unix:PATH"
                )
            host = found[1] or found[2]
            family, _, _, _, place = socket.getaddrinfo(
                host, int(found[3]), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            # socketserver takes the address family from the class, so each family needs its own.
            server_class = type("Server", (_Server,), {"address_family": family})
            self._server = server_class(place[:2], _Handler)
            self.port = int(self._server.server_port)
            return host
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve metrics on '{address}': {_reason(error)}"
            ) from None


class _Server(ThreadingMixIn, WSGIServer):
    # A client that neither sends nor reads must not delay the end of the command.
    block_on_close = False

    def __init__(self, *given: Any) -> None:
        self._free = BoundedSemaphore(MOST_CLIENTS)
        self._ends_at: dict[socket.socket, float] = {}
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a request in a thread of its own; the inherited method would not guard it."""
        # Slow clients must not use up the threads and descriptors that the command needs.
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._ends_at[request] = monotonic() + REQUEST_SECONDS
        given = (request, client_address)
        start_thread(Thread(target=self._serve, args=given, name="metrics-request", daemon=True))

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.process_request_thread(request, client_address)
        finally:
            del self._ends_at[request]
            self._free.release()

    def service_actions(self) -> None:
        """Disconnect clients whose time is over; called about twice a second."""
        # A time-out of the socket would begin anew with each byte of a client that drips them.
        for request, ends_at in list(self._ends_at.items()):
            if monotonic() >= ends_at:
                with suppress(OSError):  # It has been closed since.
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # The client has disconnected early. The default would print a traceback to stderr.
        return


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        # HTTPServer's own method expects a host and a port.
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        client, _ = self.socket.accept()
        return client, ("unix", 0)


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environment of the request."""
        found = super().get_environ()
        # Of two such headers, one could name this server, and a proxy could follow the other.
        hosts = set(self.headers.get_all("Host", []))
        # A request may name the whole URL, whose host then counts (RFC 9112, section 3.2.2).
        if url := _ABSOLUTE.match(self.path):
            hosts = {url[1]}
            found["PATH_INFO"] = unquote(url[2] or "/", "iso-8859-1")
        found["HTTP_HOST"] = ",".join(hosts)
        return found

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: stderr is for the command's messages."""

    def address_string(self) -> str:
        return "client"


class _VitalsCollector(Collector):
    """Turns the figures into metrics at each request."""

    def __init__(self, vitals: Vitals) -> None:
        self._vitals = vitals

    def collect(self) -> Iterator[Any]:
        """Yield a metric for each figure that the command provides."""
        snapshot = self._vitals.snapshot()
        for name, value in snapshot.figures.items():
            kind, text = FIGURES[name]
            family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
            yield family(f"flowtools_{name}", text, value=value)
        yield GaugeMetricFamily(
            "flowtools_healthy", "1 while /healthz says 200.", value=float(not snapshot.trouble())
        )
        yield GaugeMetricFamily(
            "flowtools_idle_seconds",
            "Seconds since the last event, or since the start if there was none.",
            value=snapshot.up if snapshot.last_event is None else snapshot.last_event,
        )


def _application(
    registry: CollectorRegistry, command: str, vitals: Vitals, host: str
) -> Callable[..., Iterable[bytes]]:
    metrics = make_wsgi_app(registry)
    names = {host.lower(), "localhost", socket.gethostname().lower(), socket.getfqdn().lower()}

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("REQUEST_METHOD") != "HEAD":
            return answered(environ, start_response)
        # The answer to HEAD has the headers of the answer to GET (RFC 9110, section 9.3.2).
        answered(environ | {"REQUEST_METHOD": "GET"}, start_response)
        return []

    def answered(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        if not _is_ours(environ.get("HTTP_HOST", ""), names):
            return _text(start_response, "421 Misdirected Request", "not a name of this server\n")
        if environ.get("REQUEST_METHOD") != "GET":
            return _text(start_response, "405 Method Not Allowed", "GET and HEAD only\n")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path == "/healthz":
            trouble = vitals.snapshot().trouble()
            status = "503 Service Unavailable" if trouble else "200 OK"
            return _text(start_response, status, f"{trouble or 'ok'}\n")
        if path == "/":
            return _text(start_response, "200 OK", _page(command, vitals), "text/html")
        return _text(start_response, "404 Not Found", "there are /, /metrics and /healthz\n")

    return application


def _is_ours(host: str, names: set[str]) -> bool:
    """Return whether a Host header (RFC 9110, section 7.2) is an address or one of `names`."""
    # An IPv6 address has colons, too; only digits after the last one are a port.
    name = host.rpartition(":")[0] if re.search(r":[0-9]*$", host) else host
    name = name.strip("[]").lower()
    if not name or name in names:
        return True
    with suppress(ValueError):
        ip_address(name)
        return True
    return False


def _text(start_response: Any, status: str, body: str, kind: str = "text/plain") -> Iterable[bytes]:
    data = body.encode()
    start_response(
        status,
        [
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
        ],
    )
    return [data]


def _page(command: str, vitals: Vitals) -> str:
    """Return a small page for people."""
    now = vitals.snapshot()
    rows = {
        "health": now.trouble() or "well",
        "about": now.about,
        "connection": now.connection,
        "events a second": f"{now.rate:.1f}",
        "last event": "none yet" if now.last_event is None else f"{now.last_event:.0f} s ago",
        "last error": now.last_error,
        **{FIGURES[name].help: f"{value:g}" for name, value in now.figures.items()},
    }
    cells = "".join(
        f"<tr><th align=left>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>"
        for name, value in rows.items()
        if value
    )
    title = html.escape(f"{command} on {socket.gethostname()}")
    return (
        f"<!doctype html><title>{title}</title><h1>{title}</h1><table>{cells}</table>"
        '<p><a href="/metrics">metrics</a> <a href="/healthz">health</a></p>'
    )


def _remove_dead(path: Path) -> None:
    """Remove a socket that a killed process left behind, but not one that is being served."""
    if path.exists() and not path.is_socket():
        raise FileExistsError(errno.EEXIST, "it is not a socket")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()


def _reason(error: OSError) -> str:
    # socket.gaierror has negative numbers of its own, which are not an errno.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error)
