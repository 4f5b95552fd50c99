"""What an answer of 400 and more means: which error, what the server says, whether it may pass."""

import re
from http import HTTPStatus
from typing import NoReturn

from flowtools.core.errors import FlowError, ProtocolError, RefusedError, UnreachableError
from flowtools.vizone.errors import ConflictError, NotFoundError
from flowtools.vizone.lean import httpx

_EXPLANATION = 200
"""Characters of what a server says about an error."""

_PASSING = {429, 500, 502, 503, 504}


class Passing(Exception):
    """A failure that may pass; `error` is what to raise if it does not."""

    def __init__(
        self, error: FlowError, *, was_sent: bool = True, asked: float | None = None
    ) -> None:
        super().__init__(str(error))
        self.error = error
        self.was_sent = was_sent
        self.asked = asked


def complain(what: str, response: httpx.Response, home: str, *, is_ours: bool) -> NoReturn:
    """Raise the error that `response` is; `what` says what was tried.

    Raises:
        Passing: It may pass.
        FlowError: It will not.
    """
    status = response.status_code
    said = f"{what}: {status} {_phrase(status)}"
    if is_ours:
        said += _explanation(response)
    if status in (401, 403):
        if is_ours:
            raise RefusedError(f"{said}; check the user, the password and their permissions")
        raise RefusedError(f"{said}; no login was sent, as it is another host than '{home}'")
    if status in _PASSING:
        raise Passing(UnreachableError(said), asked=_retry_after(response))
    kinds: dict[int, type[FlowError]] = {
        404: NotFoundError,
        410: NotFoundError,
        409: ConflictError,
        412: ConflictError,
        428: ConflictError,
    }
    raise kinds.get(status, UnreachableError if status >= 500 else ProtocolError)(said)


def _retry_after(response: httpx.Response) -> float | None:
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isascii() and said.isdigit() and len(said) < 10 else None


def _explanation(response: httpx.Response) -> str:
    """Return what the server says about its error, as ": ..." in one short line; or nothing."""
    try:
        start = next(response.iter_bytes(_EXPLANATION * 16), b"")
    except httpx.HTTPError:
        return ""
    if "html" in response.headers.get("Content-Type", ""):
        return ""
    # The form of Viz One's errors is not public; some are XML.
    text = re.sub(r"<[^>]*>", " ", start.decode("utf-8", "replace"))
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return f": {text[:_EXPLANATION]}" if text else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(unknown status)"
