"""HTTP as Viz One wants it: who gets the credentials, what is tried again, what an error is.

One pool of connections serves all threads. Basic authentication goes with every request,
unasked, and cookies are kept; neither ever goes to another host than the configured one.
No proxy is used.
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

from flowtools import __version__
from flowtools.core.errors import (
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from flowtools.vizone.account import Account
from flowtools.vizone.body import Body, sent
from flowtools.vizone.certificates import certificate_problem, context_for
from flowtools.vizone.document import MAX_DOCUMENT
from flowtools.vizone.lean import httpx
from flowtools.vizone.pooling import Pool
from flowtools.vizone.refusal import Passing, complain

SECONDS = 60.0
"""Seconds that an answer may take."""

PAUSES = (0.5, 1.0, 2.0)
"""Seconds, give or take a quarter, before each further try."""

LONGEST_PAUSE = 30.0
"""Seconds that a server may ask to wait for."""

MAX_REDIRECTS = 5

_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Answer:
    """An answer with a status below 400, whole."""

    url: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def etag(self) -> str | None:
        """Its etag, verbatim."""
        etag: str | None = self.headers.get("ETag")
        return etag

    def resolve(self, address: str) -> str:
        """Return `address`, which may be relative to where this answer came from.

        Raises:
            ProtocolError: It is malformed.
        """
        try:
            return urljoin(self.url, address)
        except ValueError:
            raise ProtocolError("cannot follow a link: its address is malformed") from None


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
    ) -> None:
        """Make a pool of connections; none is opened yet.

        Args:
            account: Where to log in, and as whom.
            seconds: How long an answer may take, as a whole.
            pauses: Seconds before each further try of a request that may be repeated.

        Raises:
            ConfigurationError: The account's CA file cannot be used.
        """
        self.account = account
        self._home = urlsplit(account.url)
        self._seconds = seconds
        self._pauses = pauses
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
            transport=Pool(context),
            auth=httpx.BasicAuth(account.user, account.password),
            **options,  # type: ignore[arg-type]
        )
        # Of its own, so that no cookie of ours is in its jar.
        self._theirs = httpx.Client(transport=Pool(context), **options)  # type: ignore[arg-type]

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
            UnreachableError: No connection, no answer in time, or a 5xx to the end.
            RefusedError: 401, 403, or a certificate that is not trusted.
            NotFoundError: 404 or 410.
            ConflictError: 409, 412 or 428.
            ProtocolError: Anything else of 400 and more, or no HTTP at all.
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
        return urlunsplit(parts._replace(fragment=""))

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.hostname != self._home.hostname:
            return False
        same = (parts.scheme, _port(parts)) == (self._home.scheme, _port(self._home))
        # The same host, but safer: http was configured, and the links are https.
        return same or (parts.scheme == "https" and _port(parts) == 443)

    def _send_patiently(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Answer:
        for pause in (*self._pauses, None):
            try:
                return self._send_once(method, url, body, headers)
            except Passing as passing:
                repeatable = method in _IDEMPOTENT or not passing.was_sent
                if pause is None or not repeatable:
                    raise passing.error from None
                time.sleep(_spread(pause, passing.asked))
        raise AssertionError("unreachable: the last try returns or raises")

    def _send_once(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Answer:
        client = self._ours if self._is_ours(url) else self._theirs
        what = f"cannot {method} '{url}'"
        try:
            with client.stream(method, url, **sent(body, headers)) as response:
                if response.status_code >= 400:
                    self._complain(what, response, is_ours=client is self._ours)
                said = self._read(what, response)
                return Answer(url, response.status_code, response.headers, said)
        except httpx.ConnectError as error:
            certificate = certificate_problem(error)
            if certificate is not None:
                raise RefusedError(f"{what}: {certificate}") from None
            raise Passing(UnreachableError(f"{what}: {_reason(error)}"), was_sent=False) from None
        except httpx.ConnectTimeout:
            reason = f"{what}: no connection within {self._seconds:g} s"
            raise Passing(UnreachableError(reason), was_sent=False) from None
        except httpx.TimeoutException:
            raise UnreachableError(f"{what}: no answer within {self._seconds:g} s") from None
        except httpx.NetworkError as error:
            raise Passing(UnreachableError(f"{what}: {_reason(error)}")) from None
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "incomplete" in str(error):
                raise Passing(UnreachableError(f"{what}: it closed the connection")) from None
            raise ProtocolError(f"{what}: it does not speak HTTP: {_reason(error)}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
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
        content = bytearray()
        try:
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_DOCUMENT:
                    raise ProtocolError(f"{what}: the answer is larger than {MAX_DOCUMENT} bytes")
        except httpx.ReadTimeout:
            raise UnreachableError(f"{what}: no whole answer within {self._seconds:g} s") from None
        return bytes(content)


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _spread(pause: float, asked: float | None) -> float:
    """Return the seconds to wait: many threads that failed together come back apart."""
    if asked is not None:
        return min(asked, LONGEST_PAUSE)
    return pause * random.uniform(0.75, 1.25)  # noqa: S311  no secret


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # "[Errno 111] Connection refused": the number tells a reader nothing.
    return text.partition("] ")[2] if text.startswith("[Errno") else text
