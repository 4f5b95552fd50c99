"""An answer of the server: its bytes within bounds, or the error that its status means."""

import re
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NoReturn
from urllib.parse import urljoin

import httpcore
import httpx

from flowtools.core.errors import FlowError, ProtocolError
from flowtools.core.log import get_log
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
"""Characters of what a server says about an error."""

_COMPLAINT = 16 * 1024
"""Bytes of the body of an error that are read and kept."""

_PASSING = {429, 500, 502, 503, 504}

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
    """An answer with a status below 400, whole.

    Attributes:
        url: The address that it came from.
        status: Its HTTP status.
        headers: Its headers.
        content: Its body.
    """

    url: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def etag(self) -> str | None:
        """Its etag, verbatim."""
        etag: str | None = self.headers.get("ETag")
        return etag

    @property
    def served(self) -> float | None:
        """When it was sent, by the server's clock (seconds since the epoch), if it says."""
        return _moment(self.headers.get("Date", ""))

    def resolve(self, address: str) -> str:
        """Return `address`, which may be relative to where this answer came from.

        Raises:
            ProtocolError: It is malformed.
        """
        try:
            return urljoin(self.url, address)
        except ValueError:
            raise ProtocolError("cannot follow a link: its address is malformed") from None


class Passing(Exception):
    """A failure that may pass.

    Attributes:
        error: What to raise if it does not pass.
        was_sent: Whether the server may have received the request.
        asked: Seconds that the server asks to wait, if it does.
    """

    def __init__(
        self, error: FlowError, *, was_sent: bool = True, asked: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.was_sent = was_sent
        self.asked = asked


def read_content(what: str, response: httpx.Response) -> bytes:
    """Return the body of `response`; `what` says what was tried.

    Requests ask for no encoding (RFC 9110, 8.4), so a body that is encoded is refused:
    some kilobytes of it can decode to gigabytes.

    Raises:
        ProtocolError: It is larger than MAX_DOCUMENT bytes, or encoded.
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
    """Raise the error that `response` (400 and more) is; `what` says what was tried.

    Raises:
        Passing: It may pass.
        FlowError: It will not.
    """
    status = response.status_code
    content = _start_of(response)
    reason = _phrase(status)
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
    error.__dict__["answer"] = Answer(str(response.url), status, response.headers, content)
    if status in _PASSING:
        raise Passing(error, asked=error.retry_after)
    raise error


def _kind(status: int) -> type[HTTPError]:
    busy = status in _PASSING or status >= 500
    return BusyError if busy else _KINDS.get(status, InvalidRequestError)


def answer_of(error: FlowError) -> Answer | None:
    """Return the answer (400 and more) that `error` stands for; None where none came.

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
        _log.debug("the body of an error is cut off")  # What has come is what it says.
    return bytes(content[:_COMPLAINT])


def _encoding(response: httpx.Response) -> str:
    """Return the encodings of the body, in lower case; "" where there is none."""
    said = response.headers.get("Content-Encoding", "").lower().split(",")
    return ", ".join(each.strip() for each in said if each.strip() not in ("", "identity"))


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds that the server asks to wait: a number of them, or a date."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit() and len(said) < 10:
        return float(said)
    until = _moment(said)
    if until is None:
        return None
    # By the server's own clock, if it says what that shows: the two may differ.
    now = _moment(response.headers.get("Date", ""))
    return max(0.0, until - (time.time() if now is None else now))


def _moment(date: str) -> float | None:
    """Return the seconds since the epoch of an HTTP date (RFC 9110, 5.6.7), if it is one."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _explanation(response: httpx.Response, content: bytes) -> str:
    """Return what the server says about its error, as ": ..." in one short line; or nothing."""
    if _encoding(response) or "html" in response.headers.get("Content-Type", ""):
        return ""
    # The form of Viz One's errors is not public; some are XML.
    text = re.sub(r"<[^>]*>", " ", content[: _EXPLANATION * 16].decode("utf-8", "replace"))
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f": {text[:_EXPLANATION]}" if text else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"
