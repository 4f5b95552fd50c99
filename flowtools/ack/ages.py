"""The age of the oldest of several numbered items, measured by looking now and then.

The items have growing numbers. A look stores the highest number with the time. Later, every item
with that number or a lower one is known to be at least that old. So no time is stored for each
item, and items that come and go between two looks cost nothing.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any

MARKS = 1000
"""Looks that are remembered. When there are more, every second one is forgotten."""


class Ages:
    """Watches numbered items. One thread calls `look`, any thread may call `oldest`."""

    def __init__(self) -> None:
        self._marks: deque[tuple[int, float]] = deque()

    def look(self, things: Mapping[int, Any], now: float | None = None) -> None:
        """Store which items exist now; `things` must be in the order of its numbers."""
        first, last = _ends(things)
        # A mark below the first item says nothing about any that exists.
        while self._marks and (first is None or self._marks[0][0] < first):
            self._marks.popleft()
        if last is not None and (not self._marks or self._marks[-1][0] < last):
            self._marks.append((last, monotonic() if now is None else now))
        if len(self._marks) > MARKS:
            self._marks = deque(list(self._marks)[::2])

    def oldest(self, things: Mapping[int, Any], now: float | None = None) -> float:
        """Return the least age of the first of `things`, in seconds; 0: no look has seen it."""
        first, _ = _ends(things)
        if first is None:
            return 0.0
        seen = next((at for number, at in list(self._marks) if number >= first), None)
        return 0.0 if seen is None else (monotonic() if now is None else now) - seen


def _ends(things: Mapping[int, Any]) -> tuple[int | None, int | None]:
    """Return the first and the last number; None and None if there are no items."""
    # Another thread may change `things` during the iteration. The next look is early enough.
    with suppress(StopIteration, RuntimeError):
        return next(iter(things)), next(reversed(list(things)))
    return None, None
