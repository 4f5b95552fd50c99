"""A request to the stand-in, its answer, and the table of who answers what."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """A request whose user is known.

    Attributes:
        user: Who asks.
        method: GET, POST, PUT or DELETE.
        path: The path as it came.
        query: The parameters.
        etag: What If-Match says.
        body: What it brings.
        inline: The links whose documents are to stand in the answer.
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
    """An answer."""

    body: bytes = b""
    type: str = "text/plain"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """The request cannot be done."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


Answerer = Callable[..., Reply]

Routes = list[tuple[str, dict[str, Answerer]]]
"""Pairs of a pattern of paths and who answers which method there."""

NUMBER, NAME = "([0-9]{1,30})", "([^/]+)"
"""Patterns of a part of a path; what they find is given to the answerer, decoded."""


def integer(query: dict[str, str], name: str, default: int, least: int, most: int) -> int:
    """Return a parameter that is a whole number, `most` where it is more.

    Raises:
        Refusal: It is none, or below `least`.
    """
    said = query.get(name)
    if said is None:
        return default
    if not (said.isascii() and said.isdigit() and len(said) < 12 and int(said) >= least):
        raise Refusal(400, f"{name} is no number of at least {least}")
    return min(int(said), most)
