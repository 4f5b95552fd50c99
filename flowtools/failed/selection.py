"""Selects failed events by their error, type, subject, id and time."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice

from flowtools.core.errors import UsageError
from flowtools.failed.record import Record


@dataclass(frozen=True)
class Selection:
    """The conditions that an event must meet to be selected; None: any value meets it.

    Attributes:
        error: Regular expression of which the error's text must contain a match.
        type: Pattern that the type must match, as of fnmatch(3) (`flow.asset.*`).
        subject: Pattern that the subject must match.
        id: Id that the event must have.
        since: Earliest time of the failure, in seconds since the epoch.
        until: Time before which the event must have failed.
        limit: Maximum number of selected events.
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
        """Maximum number of events to read from the store; None: all."""
        # With a condition the first `limit` events that are read need not be those that match.
        chooses = (self.error, self.type, self.subject, self.id, self.since, self.until)
        return self.limit if all(each is None for each in chooses) else None

    def select(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the selected ones of `records`."""
        return islice(filter(self.matches, records), self.limit)

    def matches(self, record: Record) -> bool:
        """Return whether `record` meets all conditions; `limit` is not one of them.

        An event whose time of failure is not known does not meet `since` and `until`.
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
        UsageError: The text is not a regular expression.
    """
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"'{text}' is not a regular expression: {error}") from None
