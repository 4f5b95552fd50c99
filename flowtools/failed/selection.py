"""Which failed events are wanted: the options that select."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from flowtools.core.errors import UsageError
from flowtools.failed.record import Record


@dataclass(frozen=True)
class Selection:
    """What an event must have to be selected; an attribute that is not given matches all.

    Attributes:
        error: The error's text contains a match of this expression.
        type: The type matches this pattern (as of fnmatch(3): `flow.asset.*`).
        subject: The subject matches this pattern.
        id: The id is this one.
        since: It failed no earlier than this moment, in seconds since the epoch.
        until: It failed before this moment.
        limit: Select no more than so many.
    """

    error: re.Pattern[str] | None = None
    type: str | None = None
    subject: str | None = None
    id: str | None = None
    since: float | None = None
    until: float | None = None
    limit: int | None = None

    @property
    def most(self) -> int | None:
        """Maximum number of events to read; None: all, to select from them."""
        chooses = (self.error, self.type, self.subject, self.id, self.since, self.until)
        return self.limit if all(each is None for each in chooses) else None

    def select(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield those of `records` that are wanted."""
        return islice(filter(self.matches, records), self.limit)

    def matches(self, record: Record) -> bool:
        """Return whether `record` is wanted, `limit` aside.

        Where the time of failure is not known, `since` and `until` do not match.
        """
        if self.error is not None and not self.error.search(record.error):
            return False
        if self.type is not None and not fnmatchcase(record.type, self.type):
            return False
        if self.subject is not None and not fnmatchcase(record.subject, self.subject):
            return False
        if self.id is not None and record.id != self.id:
            return False
        return self._matches_time(record)

    def _matches_time(self, record: Record) -> bool:
        if self.since is None and self.until is None:
            return True
        moment = record.failed_at
        if moment is None:
            return False
        return (self.since is None or moment >= self.since) and (
            self.until is None or moment < self.until
        )


def parse_expression(text: str) -> re.Pattern[str]:
    """Return the regular expression `text`.

    Raises:
        UsageError: It is not one.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"'{text}' is not a regular expression: {error}") from None
