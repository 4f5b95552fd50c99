"""Group failed events by the reason why they failed.

Two errors belong together if their texts are equal after everything that differs from event to
event has been replaced: numbers, ids, times, and names in quotes. So "asset 4711 not found" and
"asset 4712 not found" are one group, whose example keeps the text of one event. A status stays,
because HTTP 404 and HTTP 503 are different reasons.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from flowtools.failed.record import Record

MOST_GROUPS = 1000
"""Maximum number of groups. The events of all further groups are counted together, so that memory
is bounded."""

OTHERS = "other errors"

# The order matters: the first alternative that matches at a place wins. A status must be tried
# before a number, and a time or an id before the numbers it is made of.
_FOLD = re.compile(
    r"""
    (?P<keep>\b(?:HTTP(?:/[0-9.]+)?|[Ss]tatus|[Ee]rrno|exit\ code|signal|port)[ :=#]*[0-9]{1,5}\b)
    | (?P<quoted>'[^'\n]{1,300}'|"[^"\n]{1,300}")
    | (?P<time>\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+(?:Z|[+-][0-9:]{4,6})?)
    | (?P<uuid>\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b)
    | (?P<hex>\b(?:0x[0-9a-fA-F]+|(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,})\b)
    | (?P<number>[0-9]+(?:[.,:][0-9]+)*)
    """,
    re.VERBOSE,
)
_FOLDED = {"quoted": "'…'", "time": "TIME", "uuid": "ID", "hex": "ID", "number": "N"}


def fold(error: str) -> str:
    """Return `error` with placeholders for everything that differs from event to event."""

    def folded(found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        return found.group() if kind == "keep" else _FOLDED[kind]

    return " ".join(_FOLD.sub(folded, error).split())


@dataclass
class Group:
    """The failed events of one reason.

    Attributes:
        pattern: The folded text of the error.
        count: Number of events.
        example: Complete error text of the event that failed last.
        example_id: Id of that event.
        first: Time of the first failure, in seconds since the epoch; None if it is not known.
        last: Time of the last failure, in the same form.
        least: Smallest number of attempts of an event; None if it is not known.
        most: Largest number of attempts of an event; None if it is not known.
        types: Number of events of each type.
    """

    pattern: str
    count: int = 0
    example: str = ""
    example_id: str = ""
    first: float | None = None
    last: float | None = None
    least: int | None = None
    most: int | None = None
    types: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count `record`."""
        self.count += 1
        moment = record.failed_at
        if moment is not None:
            self.first = moment if self.first is None else min(self.first, moment)
        # An event without a time may still give the example, until one with a time comes.
        if self.last is None or (moment or 0) >= self.last:
            self.last = moment
            self.example, self.example_id = record.error, record.id
        if record.attempts is not None:
            self.least = record.attempts if self.least is None else min(self.least, record.attempts)
            self.most = record.attempts if self.most is None else max(self.most, record.attempts)
        # Types are limited like groups: a type may be any text.
        if record.type in self.types or len(self.types) < MOST_GROUPS:
            self.types[record.type] = self.types.get(record.type, 0) + 1


def grouped(records: Iterable[Record]) -> list[Group]:
    """Return the groups of `records`, the largest first."""
    groups: dict[str, Group] = {}
    for record in records:
        pattern = fold(record.error)
        if pattern not in groups and len(groups) >= MOST_GROUPS:
            pattern = OTHERS
        groups.setdefault(pattern, Group(pattern)).add(record)
    return sorted(groups.values(), key=lambda each: (-each.count, each.pattern))
