"""How old the oldest of several things is, found out by a look now and then.

Things have growing numbers. A look notes the last number that there is: later, whatever has that
number or a smaller one is known to be at least so old. So no time is kept for each thing, and
those that come and go between two looks cost nothing.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

MARKS = 1000
"""Looks that are remembered; of older ones every second is forgotten."""


class Ages:
    """Watches numbered things. One thread looks, any may ask."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque()

    def look(self, things: Mapping[int, Any], now: float | None = None) -> None:
        """Take note of what there is, in the order of its numbers."""
        first, last = _ends(things)
        while self._marks and (first is None or self._marks[0][0] < first):
            self._marks.popleft()
        if last is not None and (not self._marks or self._marks[-1][0] < last):
            self._marks.append((last, monotonic() if now is None else now))
        if len(self._marks) > MARKS:
            self._marks = deque(list(self._marks)[::2])

    def oldest(self, things: Mapping[int, Any], now: float | None = None) -> float:
        """Return how old the first of `things` is at least, in seconds; 0: no look has seen it."""
        first, _ = _ends(things)
        if first is None:
            return 0.0
        seen = next((at for number, at in list(self._marks) if number >= first), None)
        return 0.0 if seen is None else (monotonic() if now is None else now) - seen


def _ends(things: Mapping[int, Any]) -> tuple[int | None, int | None]:
    """Return the first number and the last; None where there is nothing."""
    # Another thread changes `things`: then the next look will do.
    with suppress(StopIteration, RuntimeError):
        return next(iter(things)), next(reversed(list(things)))
    return None, None
