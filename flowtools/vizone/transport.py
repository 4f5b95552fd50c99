"""HTTP requests to Viz One: who gets the login, what is tried again, and how long to wait.

A Transport has two HTTP clients. One sends the login with every request, without waiting for the
server to ask for it, and keeps cookies. It is used only for the configured server. The other has
neither login nor cookies, and is used for links that lead to another host. So no link that somebody
has put into a document can lead the login elsewhere. No proxy is used, whatever the environment
says.

A request runs in the thread that makes it, and so do its waits and its further tries. A failure
that may pass (no connection, 429, some 5xx) is tried again; a POST only if the server cannot have
received it, because a repeated POST could create a second asset. Callers see errors of flowtools
only, never those of httpx or httpcore. The connections themselves are in `wire.py`.
"""

import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpcore
import httpx

from flowtools import __version__
from flowtools.core.errors import (
    FlowError,
    ProtocolError,
    RefusedError,
    UnreachableError,
)
from flowtools.core.log import get_log
from flowtools.core.wait import sleep
from flowtools.process.tls import refusal_in
from flowtools.vizone.account import Account, context_for
from flowtools.vizone.answer import Answer, Passing, complain, read_content
from flowtools.vizone.wire import Wire

SECONDS = 60.0
"""Seconds that an answer may take as a whole, counted from the end of the request."""

PAUSES = (0.5, 1.0, 2.0)
"""Seconds to wait before each further try; each varies at random by up to a quarter."""

LONGEST_WAIT = 30.0
"""Maximum number of seconds that one request waits, all its further tries together, even if the
server asks for more by Retry-After."""

LONG_WAIT = 10.0
"""Seconds of waiting for one request after which a warning is logged."""

MAX_REDIRECTS = 5

_IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}
_PORTS = {"http": 80, "https": 443}

_log = get_log("flowtools.vizone")


@dataclass(frozen=True)
class Stream:
    """A request body that is too large for memory; it is read again for each try.

    Attributes:
        length: Size of the body in bytes.
        chunks: Function that returns the body's bytes in pieces, from the beginning each time.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]


Body = bytes | Stream | None
"""The body of a request; None for a request without one."""


def without_user(url: str) -> str:
    """Return `url` without the user and password it may contain, safe to show or to request."""
    try:
        parts = urlsplit(url)
    except ValueError:
        scheme, separator, rest = url.partition("://")
        return scheme + separator + rest.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class Transport:
    """Sends requests to one Viz One and to the hosts its links lead to. Any thread may call it."""

    def __init__(
        self,
        account: Account,
        *,
        seconds: float = SECONDS,
        pauses: tuple[float, ...] = PAUSES,
        hosts: Collection[str] | None = None,
    ) -> None:
        """Make the pools of connections; no connection is opened yet.

        Args:
            account: The server and the login.
            seconds: Maximum duration of an answer as a whole, in seconds.
            pauses: Seconds to wait before each further try; its length is the number of tries
                after the first. Empty: a request is sent once.
            hosts: Other hosts, each HOST or HOST:PORT, to which links may lead; None: any host.

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
                # A small compressed answer can decode to gigabytes; see `read_content`.
                "Accept-Encoding": "identity",
            },
            "trust_env": False,
            "follow_redirects": False,
        }
        self._ours = httpx.Client(
            transport=Wire(context),
            auth=httpx.BasicAuth(account.user, account.secret()),
            **options,  # type: ignore[arg-type]
        )
        # A client of its own, because httpx keeps one jar of cookies for each client.
        self._theirs = httpx.Client(transport=Wire(context), **options)  # type: ignore[arg-type]

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

        If the connection fails, or the server says that it cannot answer now, the request is sent
        again after each of `pauses`, provided that repeating it is harmless.

        Raises:
            FlowError: A Stream has more or fewer bytes than its length.
            OSError: A Stream cannot be read.
            UnreachableError: There is no connection, or no answer in time. As BusyError: the status
                is 429 or 5xx, also at the last try.
            RefusedError: The server's certificate is not trusted. As NotAllowedError: the status is
                401 or 403.
            NotFoundError: The status is 404 or 410.
            ConflictError: The status is 409, 412 or 428.
            InvalidRequestError: The status is any other from 400 to 499.
            ProtocolError: The answer is not HTTP, or larger than MAX_DOCUMENT; or the link leads to
                a host that is not in `hosts`, or is malformed.
        """
        url = self._addressed(url)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._send_patiently(method, url, body, dict(headers or {}))
            if method != "GET" or answer.status not in (301, 302, 303, 307, 308):
                return answer
            url = self._addressed(answer.resolve(answer.headers.get("Location", url)))
        raise ProtocolError(f"cannot GET '{url}': more than {MAX_REDIRECTS} redirects")

    def _addressed(self, url: str) -> str:
        """Return the URL to request for a link.

        A server behind a TLS proxy often writes links that begin with http://. If https was
        configured, such a link is requested by https, so that the login is not sent in clear.
        """
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
        """Raise an error if `parts` leads to a host that is not in `hosts`.

        Whoever may write into Viz One may write a link; it must not make this host send requests
        into the local network.
        """
        host = parts.hostname or ""
        named = f"{host}:{_port(parts)}"
        if self._hosts is not None and host not in self._hosts and named not in self._hosts:
            raise ProtocolError(
                f"cannot follow a link to '{named}': it is another host than"
                f" '{self._home.netloc}'; if it is yours, give --allow-host {named}"
            )

    def _is_ours(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.hostname != self._home.hostname:
            return False
        same = (parts.scheme, _port(parts)) == (self._home.scheme, _port(self._home))
        # Also the same host by https if http was configured: that is no less safe for the login.
        return same or (parts.scheme == "https" and _port(parts) == 443)

    def _send_patiently(self, method: str, url: str, body: Body, headers: dict[str, str]) -> Answer:
        waited = 0.0
        for pause in (*self._pauses, None):
            try:
                return self._send_once(method, url, body, headers)
            except Passing as passing:
                # A POST whose answer was lost may have been carried out.
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
            with client.stream(method, url, **_sent(what, body, headers)) as response:
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
            # Not tried again: each try would take the whole time-out once more.
            raise UnreachableError(f"{what}: no answer within {self._seconds:g} s") from None
        except httpcore.NetworkError as error:
            raise Passing(UnreachableError(f"{what}: {_reason(error)}")) from None
        except httpcore.RemoteProtocolError as error:
            # httpcore has one class for a closed connection and for bytes that are not HTTP; only
            # the text tells them apart.
            if "disconnected" in str(error) or "incomplete" in str(error):
                raise Passing(
                    UnreachableError(f"{what}: the server closed the connection")
                ) from None
            raise ProtocolError(
                f"{what}: the server does not speak HTTP: {_reason(error)}"
            ) from None
        except (httpcore.ProtocolError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProtocolError(f"{what}: {_reason(error)}") from None

    def _complain(self, what: str, response: httpx.Response, *, is_ours: bool) -> NoReturn:
        home = f"{self._home.scheme}://{self._home.netloc}"
        try:
            complain(what, response, home, is_ours=is_ours)
        except RefusedError as error:
            if is_ours and response.status_code == 401 and "Cookie" in response.request.headers:
                # The session may have expired though the login is right: a listener runs for
                # months. So the request is sent once more, by the login alone.
                self._ours.cookies.clear()
                raise Passing(error, was_sent=False, asked=0.0) from None
            raise

    def _read(self, what: str, response: httpx.Response) -> bytes:
        try:
            return read_content(what, response)
        except httpcore.ReadTimeout:
            raise UnreachableError(
                f"{what}: no complete answer within {self._seconds:g} s"
            ) from None


def _sent(what: str, body: Body, headers: dict[str, str]) -> dict[str, Any]:
    """Return the arguments that make httpx send `body`; `what` begins an error message.

    The length of a stream is given, because httpx would send it in chunks otherwise.
    """
    if isinstance(body, Stream):
        length = {"Content-Length": str(body.length)}
        return {"content": _measured(what, body), "headers": headers | length}
    return {"content": body, "headers": headers}


def _measured(what: str, body: Stream) -> Iterator[bytes]:
    """Yield the bytes of `body`, provided that there are as many as it says."""
    found = 0
    for chunk in body.chunks():
        found += len(chunk)
        if found > body.length:
            break
        yield chunk
    # A file that is still being written, for example. The parser of HTTP below httpcore would raise
    # an error of its own, which is not httpcore's.
    if found != body.length:
        amount = "more" if found > body.length else str(found)
        raise FlowError(f"{what}: the content has changed: {body.length} bytes became {amount}")


def _port(parts: SplitResult) -> int | None:
    return parts.port or _PORTS.get(parts.scheme)


def _spread(pause: float, asked: float | None) -> float:
    """Return the seconds to wait: `asked` by the server, or `pause` varied at random.

    The variation keeps threads that failed together from coming back together.
    """
    if asked is not None:
        return asked
    return pause * random.uniform(0.75, 1.25)  # noqa: S311  no secret


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    # Of "[Errno 111] Connection refused" only the words mean something to a user.
    return text.partition("] ")[2] if text.startswith("[Errno") else text
