"""Read the changes of the resources that a source listens to from a feed of Viz One."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from flowtools.core.event import Event
from flowtools.core.times import instant
from flowtools.source.vizone.entries import key_of
from flowtools.source.vizone.progress import MARGIN
from flowtools.stomp.message import Message
from flowtools.vizone.account import Account
from flowtools.vizone.atom import Feed
from flowtools.vizone.changes import Change, changes_in
from flowtools.vizone.client import Client
from flowtools.vizone.document import serialise

JITTER = 2.0
"""Seconds by which the entries of a feed may be out of the order of their times."""


class Sight(NamedTuple):
    """One entry of a feed.

    Attributes:
        event: The event of the entry; None: it is not wanted.
        when: Time of the modification in seconds since the epoch; None: unknown.
        in_order: Whether `when` determines the entry's place in the feed. It does not for a
            tombstone, the entry of a deletion.
    """

    event: Event | None
    when: float | None
    in_order: bool = True


@dataclass(frozen=True)
class Shown:
    """A feed of the resources that a source listens to.

    Attributes:
        of: Name of the resources in the state file and in messages.
        pages: Reads the pages of the feed.
        to_event: Makes the event of a change in the feed; returns None if it is not wanted.
        ordered: Whether the feed lists the latest change first. If not, a file may have been moved
            here long after its modification, so only changes that were seen here count as done.
    """

    of: str
    pages: Callable[[Client], Iterable[Feed]]
    to_event: Callable[[Change, Message], Event | None]
    ordered: bool = True

    def look(self, feed: Feed) -> list[Sight]:
        """Return the changes that one page shows."""
        sights = []
        for change in changes_in(feed):
            # Without a time, `event_id` needs the entry itself to tell two changes apart.
            body = serialise(change.entry.element) if change.entry and not change.when else b""
            event = self.to_event(change, Message({}, body))
            sights.append(Sight(event, instant(change.when), change.entry is not None))
        return sights

    def read(self, account: Account) -> Iterable[Feed]:
        """Read the feed of `account`'s Viz One, with a client of its own."""
        with Client(account) as client:
            yield from self.pages(client)

    def present(self, client: Client) -> tuple[float, dict[str, float]]:
        """Return where a first run starts: the time of the latest change, and what is done.

        That is a time in seconds since the epoch, and the changes up to it that are still
        remembered: their times by their keys.
        """
        seen: dict[str, float] = {}
        newest = 0.0
        ordered = self.ordered
        for page in self.pages(client):
            sights = self.look(page)
            times = [each.when for each in sights if each.when is not None]
            newest = max([newest, *times])
            seen |= {key_of(each.event): each.when or 0.0 for each in sights if each.event}
            placed = [each.when for each in sights if each.in_order and each.when is not None]
            ordered = ordered and is_descending(placed)
            if ordered and min(placed, default=newest) < newest - MARGIN:
                break
        # A server's clock that is ahead must not hide all changes until that time.
        newest = min(newest, time.time())
        if self.ordered:
            seen = {key: when for key, when in seen.items() if when >= newest - MARGIN}
        return newest, seen

    def before(self, client: Client, since: float) -> dict[str, float]:
        """Return the keys of the changes that count as done because they are older than `since`.

        If the feed is in order, their times say so, and none is returned.
        """
        if self.ordered or not since:
            return {}
        _, seen = self.present(client)
        return {key: when for key, when in seen.items() if 0.0 < when < since}


def is_descending(times: Sequence[float]) -> bool:
    """Return whether these times, in the order of a feed, go from the latest to the earliest."""
    if len(times) > 1 and times[0] < times[-1]:
        return False
    return not any(b > a + JITTER for a, b in pairwise(times))
