"""An answer of the server: its body, of limited size, or the error that its status stands for."""

import re
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urljoin

import httpcore
import httpx

from flowtools.core.errors import FlowError, ProtocolError
from flowtools.core.log import get_log
from flowtools.core.times import http_date
from flowtools.vizone.document import MAX_DOCUMENT
from flowtools.vizone.errors import (
    BusyError,
    ConflictError,
    HTTPError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
)

_log = get_log("flowtools.vizone")

_EXPLANATION = 200
"""Maximum number of characters of a server's explanation that go into an error message."""

_COMPLAINT = 16 * 1024
"""Maximum number of bytes of an error's body that are read and kept."""

_PASSING = {429, 500, 502, 503, 504}
"""Statuses after which a request is tried again."""

_KINDS: dict[int, type[HTTPError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    410: NotFoundError,
    409: ConflictError,
    412: ConflictError,
    428: ConflictError,
}


@dataclass(frozen=True)
class Answer:
    """A complete answer of the server.

    Attributes:
        url: Address that the answer came from.
        status: HTTP status; below 400, except for the answer of an error (see `answer_of`).
        headers: HTTP headers.
        content: Bytes of the body.
    """

    url: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def etag(self) -> str | None:
        """The ETag header, verbatim; None without one."""
        etag: str | None = self.headers.get("ETag")
        return etag

    @property
    def served(self) -> float | None:
        """When the server sent it, by its own clock, in seconds since the epoch; None: unknown."""
        return http_date(self.headers.get("Date", ""))

    def resolve(self, address: str) -> str:
        """Return `address` as an absolute URL; a relative one starts from this answer's URL.

        Raises:
            ProtocolError: The address is malformed.
        """
        try:
            return urljoin(self.url, address)
        except ValueError:
            raise ProtocolError("cannot follow a link: its address is malformed") from None


class Passing(Exception):
    """A temporary failure: the same request may succeed later.

    Attributes:
        error: The error to raise if no further try succeeds.
        was_sent: Whether the server may have received the request.
        asked: Seconds that the server asks to wait before the next try; None if it does not ask.
    """

    def __init__(
        self, error: FlowError, *, was_sent: bool = True, asked: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.was_sent = was_sent
        self.asked = asked


def read_content(what: str, response: httpx.Response) -> bytes:
    """Return the body of `response`; `what` begins the error message ("cannot GET ...").

    A compressed body (RFC 9110, section 8.4) is refused, because some kilobytes of it can decode to
    gigabytes. Requests do not ask for one.

    Raises:
        ProtocolError: The body is larger than MAX_DOCUMENT bytes, or compressed.
    """
    encoding = _encoding(response)
    if encoding:
        raise ProtocolError(
            f"{what}: the answer is encoded as '{encoding[:80]}', which was not asked for"
        )
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > MAX_DOCUMENT:
            raise ProtocolError(f"{what}: the answer is larger than {MAX_DOCUMENT} bytes")
    return bytes(content)


def complain(what: str, response: httpx.Response, home: str, *, is_ours: bool) -> NoReturn:
    """Raise the error that `response`, with a status of 400 or more, stands for.

    Args:
        what: Beginning of the error message ("cannot GET ...").
        response: The answer; its body has not been read yet.
        home: The configured server, for the error message.
        is_ours: Whether `response` came from that server, with the login.

    Raises:
        Passing: The failure may be temporary.
        HTTPError: Any other failure.
    """
    status = response.status_code
    content = _start_of(response)
    reason = _phrase(status)
    # Text of another host does not go into our messages: a link could lead anywhere.
    if is_ours:
        reason += _explanation(response, content)
    said = f"{what}: {status} {reason}"
    if status in (401, 403):
        advice = (
            "check the user, the password and their permissions"
            if is_ours
            else f"no login was sent, as it is another host than '{home}'"
        )
        said += f"; {advice}"
    error = _kind(status)(said)
    error.http_status, error.reason = status, reason
    error.retry_after = _retry_after(response)
    # Not an attribute of the public class: only flowtools.compat needs it (`answer_of`).
    error.__dict__["answer"] = Answer(str(response.url), status, response.headers, content)
    if status in _PASSING:
        raise Passing(error, asked=error.retry_after)
    raise error


def _kind(status: int) -> type[HTTPError]:
    busy = status in _PASSING or status >= 500
    return BusyError if busy else _KINDS.get(status, InvalidRequestError)


def answer_of(error: FlowError) -> Answer | None:
    """Return the answer (400 or more) that caused `error`; None if no answer came.

    Its content is the first _COMPLAINT bytes of the body.
    """
    found = error.__dict__.get("answer")
    return found if isinstance(found, Answer) else None


def _start_of(response: httpx.Response) -> bytes:
    content = bytearray()
    try:
        for chunk in response.iter_raw(_COMPLAINT):
            content += chunk
            if len(content) >= _COMPLAINT:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        # The status alone makes the error; a part of the explanation is better than none.
        _log.debug("the body of an error is cut off")
    return bytes(content[:_COMPLAINT])


def _encoding(response: httpx.Response) -> str:
    """Return the encodings of the body, in lower case; "" if it is not encoded."""
    said = response.headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(each.strip() for each in said if each.strip() not in ("", "identity"))


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that Retry-After, a number or a date, asks to wait; None without one."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 10:
        return float(said)
    until = http_date(said)
    if until is None:
        return None
    # The date is by the server's clock, which may differ from ours; its Date header shows how late
    # it is there.
    now = http_date(response.headers.get("Date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _explanation(response: httpx.Response, content: bytes) -> str:
    """Return the server's own explanation of its error as ": TEXT", in one short line; or ""."""
    # A web page would fill the line with its title and menu.
    if _encoding(response) or "html" in response.headers.get("Content-Type", ""):
        return ""
    # The format of Viz One's errors is not public; some are XML. So tags are removed, whatever they
    # mean.
    text = re.sub(r"<[^>]*>", " ", content[: _EXPLANATION * 16].decode("utf-8", "replace"))
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f": {text[:_EXPLANATION]}" if text else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"
