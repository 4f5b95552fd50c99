"""Words that all parts of the stand-in share: kinds of change, times, and what goes wrong."""

from datetime import UTC, datetime
from typing import Literal

Kind = Literal["create", "update", "delete"]

Deletions = Literal["tombstone", "header", "status", "empty", "gone"]
"""How a deletion is marked; see messages.py."""


class GoneError(Exception):
    """There is no such thing, or no longer: 404, or 410 if it is known to have been."""

    def __init__(self, reason: str, status: int = 404) -> None:
        super().__init__(reason)
        self.status = status


class StaleError(Exception):
    """The etag given is not the present one: 412."""


class TakenError(Exception):
    """It cannot be done to what is there: 409."""


Order = Literal["sorted", "none", "oldest"]
"""How a feed is ordered: as it is asked for; never; by that, but the oldest first."""


def now() -> str:
    """Return the present as Viz One writes it, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
