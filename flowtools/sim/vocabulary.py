"""Types, exceptions and the clock that all parts of the stand-in share."""

from datetime import UTC, datetime
from typing import Literal

Kind = Literal["create", "update", "delete"]
"""What happened to an asset or file; also the value of the `action` header."""

Deletions = Literal["tombstone", "header", "status", "empty", "gone"]
"""How a message marks a deletion; see messages.py."""


class GoneError(Exception):
    """What the request is for does not exist: 404, or 410 if it is known to have existed."""

    def __init__(self, reason: str, status: int = 404) -> None:
        super().__init__(reason)
        self.status = status


class StaleError(Exception):
    """The etag of the request is outdated: 412."""


class TakenError(Exception):
    """The present state does not allow the change: 409."""


Order = Literal["sorted", "none", "oldest"]
"""Order of a feed: as the request asks; as created; or as the request asks, oldest first."""


def now() -> str:
    """Return the present as Viz One writes it, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
