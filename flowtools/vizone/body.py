"""What a request brings: bytes, or a stream of them that can be read anew."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Stream:
    """A body that is too large to hold: read anew for each try.

    Attributes:
        length: Its bytes.
        chunks: Gives them from the beginning, each time it is called.
    """

    length: int
    chunks: Callable[[], Iterator[bytes]]


Body = bytes | Stream | None


def sent(body: Body, headers: dict[str, str]) -> dict[str, Any]:
    """Return how httpx is told to send `body`."""
    if isinstance(body, Stream):
        length = {"Content-Length": str(body.length)}
        return {"content": body.chunks(), "headers": headers | length}
    return {"content": body, "headers": headers}
