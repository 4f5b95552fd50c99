"""Requests to the stand-in, replies, and routes to the handlers that answer them."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """A request of a user who has logged in.

    Attributes:
        user: Name of the user.
        method: GET, POST, PUT or DELETE.
        path: Path of the URL, still percent-encoded.
        query: Parameters of the query string, decoded.
        etag: Value of If-Match; None if the request has no such header.
        body: Body of the request.
        inline: Relations of the links whose documents the reply should include (X-Inline).
    """

    user: str
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    etag: str | None = None
    body: bytes = b""
    inline: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reply:
    """A reply; `type` is the media type of `body`."""

    body: bytes = b""
    type: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request is refused with `status` (an HTTP status); the text goes into the body."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


Answerer = Callable[..., Reply]

Routes = list[tuple[str, dict[str, Answerer]]]
"""Pairs of a path pattern and the handlers for that path, by method."""

NUMBER, NAME = "([0-9]{1,30})", "([^/]+)"
"""Patterns for one part of a path; the handler gets the matched part, percent-decoded."""


def integer(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return the query parameter `name`, limited to `most`; `default` if it is missing.

    Raises:
        Refusal: The parameter is not a whole number, or is below `least`.
    """
    said = query.get(name)
    if said is None:
        return default
    # Its length first: Python refuses to read an integer of thousands of digits.
    if not (said.isascii() and said.isdigit() and len(said) < 12 and int(said) >= least):
        raise Refusal(400, f"{name} must be a whole number of at least {least}")
    return min(int(said), most)
