"""HTTP as Viz One wants it: who gets the credentials, what is tried again, what is waited for.

One pool of connections serves all threads. Basic authentication goes with every request,
unasked, and cookies are kept; neither ever goes to another host than the configured one.
No proxy is used.

httpx gives each read a time-out of its own: an answer that comes byte by byte would never
reach it. So httpx sends through a transport of ours, and that through a pool of httpcore
whose streams count the time-out from the first read after the last write, as long as that
write takes.
"""

import random
import ssl
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpcore
import httpx

from flowtools import __version__
from flowtools.core.errors import (
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from flowtools.core.log import get_log
from flowtools.core.wait import sleep
from flowtools.process.certificates import certificates, ends_at
from flowtools.process.tls import refusal_in
from flowtools.vizone.account import Account, context_for
from flowtools.vizone.answer import Answer, Passing, complain, read_content

SECONDS = 60.0
"""Seconds that an answer may take."""

PAUSES = (0.5, 1.0, 2.0)
"""Seconds, give or take a quarter, before each further try."""

LONGEST_WAIT = 30.0
"""Seconds that a server may ask a request to wait for, all its further tries together."""

LONG_WAIT = 10.0
"""Seconds of waiting for one request from which on it is said."""

MAX_REDIRECTS = 5

KEPT = 64
"""Connections that are kept open while nobody uses them."""

KEPT_FOR = 5.0
"""Seconds that they are."""

_HTTPS = "it speaks TLS on this port; let the address begin with https://"
_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}
_PORTS = {"http": 80, "https": 443}

_log = get_log("flowtools.vizone")


@dataclass(frozen=True)
class Stream:
    """A body that is too large to hold: read anew for each try.

    Attributes:
        length: Its size in bytes.
        chunks: Gives them from the beginning, each time it is called.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]


Body = bytes | Stream | None
"""What a request brings."""


def without_user(url: str) -> str:
    """Return `url` without a user and password in it, to show or to request."""
    try:
        parts = urlsplit(url)
    except ValueError:
        scheme, separator, rest = url.partition("://")
        return scheme + separator + rest.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class Transport:
    """Sends requests to one Viz One, and to wherever its links lead; any thread may."""

    def __init__(
        self,
        account: Account,
        *,
        seconds: float = SECONDS,
        pauses: tuple[float, ...] = PAUSES,
        hosts: Collection[str] | None = None,
    ) -> None:
        """Make a pool of connections; none is opened yet.

        Args:
            account: Where to log in, and as whom.
            seconds: How long an answer may take, as a whole.
            pauses: Seconds before each further try of a request that may be repeated.
            hosts: Other hosts, each HOST or HOST:PORT, that may be asked; None: any.

        Raises:
            ConfigurationError: The account's CA file or password file cannot be used.
        """
        self.account = account
        self._home = urlsplit(account.url)
        self._seconds = seconds
        self._pauses = pauses
        self._hosts = hosts
        context = context_for(account)
        options = {
            "timeout": httpx.Timeout(seconds),
            "headers": {
                "User-Agent": f"flowtools/{__version__}",
                "Accept-Encoding": "identity",
            },
            "trust_env": False,
            "follow_redirects": False,
        }
        self._ours = httpx.Client(
            transport=_Wire(context),
            auth=httpx.BasicAuth(account.user, account.secret()),
            **options,  # type: ignore[arg-type]
        )
        # Of its own, so that no cookie of ours is in its jar.
        self._theirs = httpx.Client(transport=_Wire(context), **options)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connections."""
        self._ours.close()
        self._theirs.close()

    def send(
        self,
        method: str,
        url: str,
        *,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return its answer; redirects of a GET are followed.

        A request that may be repeated is, up to three times, where the connection fails or
        the server says that it cannot answer now.

        Raises:
            UnreachableError: No connection, or no answer in time; or, as BusyError, 429 or a 5xx
                to the end.
            RefusedError: A certificate that is not trusted; or, as NotAllowedError, 401 or 403.
            NotFoundError: 404 or 410.
            ConflictError: 409, 412 or 428.
            InvalidRequestError: Anything else from 400 to 499.
            ProtocolError: No HTTP at all; or it leads to a host that may not be asked.
        """
        url = self._addressed(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._send_patiently(method, url, body, dict(headers or {}))
            if method != "GET" or answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = self._addressed(answer.resolve(answer.headers.get("Location", url)))
        raise ProtocolError(f"cannot GET '{url}': more than {MAX_REDIRECTS} redirects")

    def _addressed(self, url: str) -> str:
        """Return the URL to request for a link: servers behind TLS may give http links."""
        try:
            parts = urlsplit(without_user(url))
            ours = parts.hostname == self._home.hostname and _port(parts) == 80
        except ValueError:
            raise ProtocolError("cannot follow a link: its address is malformed") from None
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ProtocolError(f"cannot follow '{urlunsplit(parts)}': not an http(s) address")
        if ours and parts.scheme == "http" and self._home.scheme == "https":
            parts = parts._replace(scheme="https", netloc=self._home.netloc)
        found = urlunsplit(parts._replace(fragment=""))
        if self._hosts is not None and not self._is_ours(found):
            self._check_host(parts)
        return found

    def _check_host(self, parts: SplitResult) -> None:
        """Refuse to ask another host than may be asked: anybody may write a link."""
        host = parts.hostname or ""
        named = f"{host}:{_port(parts)}"
        if self._hosts is not None and host not in self._hosts and named not in self._hosts:
            raise ProtocolError(
                f"'{named}' is not asked, to which a link leads: it is another host than"
                f" '{self._home.netloc}'; if it is yours, give --allow-host {named}"
            )

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.hostname != self._home.hostname:
            return False
        same = (parts.scheme, _port(parts)) == (self._home.scheme, _port(self._home))
        # The same host, but safer: http was configured, and the links are https.
        return same or (parts.scheme == "https" and _port(parts) == 443)

    def _send_patiently(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Answer:
        waited = 0.0
        for pause in (*self._pauses, None):
            try:
                return self._send_once(method, url, body, headers)
            except Passing as passing:
                repeatable = method in _IDEMPOTENT or not passing.was_sent
                if pause is None or not repeatable or waited >= LONGEST_WAIT:
                    raise passing.error from None
                seconds = min(_spread(pause, passing.asked), LONGEST_WAIT - waited)
                waited += seconds
                if waited >= LONG_WAIT:
                    _log.warning("%s; trying again in %.0f s", passing.error, seconds)
                sleep(seconds)
        raise AssertionError("unreachable: the last try returns or raises")

    def _send_once(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Answer:
        client = self._ours if self._is_ours(url) else self._theirs
        what = f"cannot {method} '{url}'"
        try:
            with client.stream(method, url, **_sent(body, headers)) as response:
                if response.status_code >= 400:
                    self._complain(what, response, is_ours=client is self._ours)
                said = self._read(what, response)
                return Answer(url, response.status_code, response.headers, said)
        except httpcore.ConnectError as error:
            certificate = refusal_in(error)
            if certificate is not None:
                raise RefusedError(f"{what}: {certificate}") from None
            raise Passing(UnreachableError(f"{what}: {_reason(error)}"), was_sent=False) from None
        except httpcore.ConnectTimeout:
            reason = f"{what}: no connection within {self._seconds:g} s"
            raise Passing(UnreachableError(reason), was_sent=False) from None
        except httpcore.TimeoutException:
            raise UnreachableError(f"{what}: no answer within {self._seconds:g} s") from None
        except httpcore.NetworkError as error:
            raise Passing(UnreachableError(f"{what}: {_reason(error)}")) from None
        except httpcore.RemoteProtocolError as error:
            if "disconnected" in str(error) or "incomplete" in str(error):
                raise Passing(UnreachableError(f"{what}: it closed the connection")) from None
            raise ProtocolError(f"{what}: it does not speak HTTP: {_reason(error)}") from None
        except (httpcore.ProtocolError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProtocolError(f"{what}: {_reason(error)}") from None

    def _complain(self, what: str, response: httpx.Response, *, is_ours: bool) -> NoReturn:
        home = f"{self._home.scheme}://{self._home.netloc}"
        try:
            complain(what, response, home, is_ours=is_ours)
        except RefusedError as error:
            if is_ours and response.status_code == 401 and "Cookie" in response.request.headers:
                # The session may be over, and not the login wrong: it is tried alone.
                self._ours.cookies.clear()
                raise Passing(error, was_sent=False, asked=0.0) from None
            raise

    def _read(self, what: str, response: httpx.Response) -> bytes:
        try:
            return read_content(what, response)
        except httpcore.ReadTimeout:
            raise UnreachableError(f"{what}: no whole answer within {self._seconds:g} s") from None


def _sent(body: Body, headers: dict[str, str]) -> dict[str, Any]:
    """Return how httpx is told to send `body`."""
    if isinstance(body, Stream):
        length = {"Content-Length": str(body.length)}
        return {"content": body.chunks(), "headers": headers | length}
    return {"content": body, "headers": headers}


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _spread(pause: float, asked: float | None) -> float:
    """Return the seconds to wait: many threads that failed together come back apart."""
    if asked is not None:
        return asked
    return pause * random.uniform(0.75, 1.25)  # noqa: S311  no secret


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # "[Errno 111] Connection refused": the number tells a reader nothing.
    return text.partition("] ")[2] if text.startswith("[Errno") else text


class _Wire(httpx.BaseTransport):
    """What httpx sends with: any number of connections, none of them over a proxy.

    Errors of the network are httpcore's own: nobody but Transport sees them.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        """Make an empty pool; `context` judges certificates."""
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=KEPT,
            keepalive_expiry=KEPT_FOR,
            network_backend=_Backend(),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
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
        self._pool.close()


class _Content(httpx.SyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


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
        self._is_heard = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if timeout is None:
            return self._first(self._stream.read(max_bytes))
        now = time.monotonic()
        if self._ends_at is None:
            self._ends_at = now + timeout
        if now >= self._ends_at:
            raise httpcore.ReadTimeout("the answer as a whole")
        return self._first(self._stream.read(max_bytes, self._ends_at - now))

    def _first(self, data: bytes) -> bytes:
        """Look at what comes first: one that wants TLS answers HTTP with an alert."""
        if not self._is_heard and data.startswith(b"\x15\x03"):  # RFC 8446, 5.1.
            raise httpcore.RemoteProtocolError(_HTTPS)
        self._is_heard = True
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
        certificates.saw(server_hostname or "", ends_at(secured.get_extra_info("ssl_object")))
        return _Stream(secured)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
