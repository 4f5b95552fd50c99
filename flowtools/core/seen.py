"""Remembers what has been seen before, in little memory: a set of marks, and counts of equal lines.

A mark is a short digest of a longer text. Python's own set needs some 100 bytes per mark. Here the
marks are sorted into 65,536 buckets by their first two bytes, and a bucket holds the remaining
bytes of its marks one after the other. In a set of two million a bucket has some thirty marks,
which are searched in one call.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

from flowtools.core.event import Event, digest, wrap

SIZE = 14
"""Size of a mark in bytes. Among two million, two are equal by chance once in 10^21 times."""

MOST = 1_000_000
"""Maximum number of different lines whose occurrences are counted."""

_REST = SIZE - 2


def mark(text: bytes) -> bytes:
    """Return the mark of `text`."""
    made: bytes = _blake2b()(text, digest_size=SIZE).digest()
    return made


@cache
def _blake2b() -> Callable[..., Any]:
    from hashlib import blake2b  # Imported late: it loads OpenSSL, which most runs do not need.

    return blake2b


class Seen:
    """A set of marks that only grows. Not thread-safe."""

    def __init__(self) -> None:
        self._buckets: defaultdict[bytes, bytearray] = defaultdict(bytearray)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, found: bytes) -> bool:
        bucket = self._buckets.get(found[:2])
        if bucket is None:
            return False
        rest = found[2:]
        at = bucket.find(rest)
        while at > 0 and at % _REST:  # A false match across the border of two marks.
            at = bucket.find(rest, at + 1)
        return at >= 0

    def add(self, found: bytes) -> bool:
        """Add a mark; return whether it is new."""
        if found in self:
            return False
        self.put(found)
        return True

    def put(self, found: bytes) -> None:
        """Add a mark without checking that it is new; a repeated mark takes room twice."""
        self._buckets[found[:2]] += found[2:]
        self._size += 1


class Occurrences:
    """Counts equal lines, so that each gets an id that does not depend on the lines around it.

    The first MOST different lines are counted, in some 20 MiB. Not thread-safe.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._once = Seen()
        self._more: dict[bytes, int] = {}

    def name(self, text: bytes, number: int) -> str:
        """Return a name that tells equal lines apart: "1" for the first `text`, "2" for the second.

        Beyond the bound the name is made of the line's `number`, as in "@17".
        """
        found = mark(text)
        times = self._more.get(found)
        if times is None:
            if len(self._once) < self._most and self._once.add(found):
                return "1"
            if found not in self._once or len(self._more) >= self._most:
                return f"@{number}"
            times = 1
        self._more[found] = times + 1
        return str(times + 1)


class Wrapper:
    """Makes events of lines that are other JSON values. Not thread-safe.

    The id of such an event is made of the bytes of the line and of the number of equal lines
    before it. So inserting or removing a line does not change the ids of different lines.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._occurrences = Occurrences()

    def event(self, value: Any, line: bytes, number: int) -> Event:
        """Return the event for `line`, line `number` of the input, which holds `value`."""
        text = line.strip()
        identity = f"{digest(text)}-{self._occurrences.name(text, number)}"
        return wrap(value, source=self._source, type="flow.stdin.line", id=identity)
