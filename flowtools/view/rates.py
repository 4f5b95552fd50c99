"""Number and rate of events of each type over the last minutes."""

from collections import Counter, deque
from dataclasses import dataclass, field

SPAN = 120
"""Seconds that the sparkline looks back."""

RATE_SPAN = 5
"""Seconds that a rate is the mean of."""

MAX_TYPES = 50
"""Maximum number of types that are counted separately, so that memory is bounded."""

OTHERS = "(other types)"

_BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Track:
    """One type: how many came in all, and in each of the last SPAN seconds, newest last."""

    total: int = 0
    seconds: deque[int] = field(default_factory=lambda: deque([0] * SPAN, maxlen=SPAN))

    def rate(self, elapsed: float) -> float:
        """Return events a second over the last RATE_SPAN whole seconds, of `elapsed` in all."""
        span = max(1, min(RATE_SPAN, int(elapsed)))
        # The last second is still going on.
        counted = list(self.seconds)[-span - 1 : -1] if elapsed >= 1 else [self.seconds[-1]]
        return sum(counted) / span


class Rates:
    """Counts by type and by second; the clock is whoever calls."""

    def __init__(self, now: float) -> None:
        """Begin at `now` (seconds of a monotonic clock)."""
        self._began = now
        self._second = 0
        self._tracks: dict[str, Track] = {}
        self.all = Track()

    def count(self, kinds: Counter[str], now: float) -> None:
        """Take note of what has come just now, by type."""
        self.advance(now)
        for kind, number in kinds.items():
            if kind not in self._tracks and len(self._tracks) >= MAX_TYPES:
                kind = OTHERS
            track = self._tracks.setdefault(kind, Track())
            for each in (track, self.all):
                each.total += number
                each.seconds[-1] += number

    def advance(self, now: float) -> None:
        """Let time go on to `now`."""
        second = int(now - self._began)
        for _ in range(min(second - self._second, SPAN)):
            for track in (*self._tracks.values(), self.all):
                track.seconds.append(0)
        self._second = max(second, self._second)

    def elapsed(self, now: float) -> float:
        """Return the seconds since the beginning."""
        return now - self._began

    def most(self, number: int) -> list[tuple[str, Track]]:
        """Return the `number` types of which most have come, in that order."""
        return sorted(self._tracks.items(), key=lambda each: (-each[1].total, each[0]))[:number]


def sparkline(values: list[int], width: int) -> str:
    """Return `values` as a row of at most `width` bars, the last value last.

    Neighbours are put together where there are more values than room. A bar of the lowest
    height stands for few, a blank for none.
    """
    if width < 1 or not values:
        return ""
    size = -(-len(values) // width)
    first = len(values) % size
    pieces = [values[:first]] if first else []
    pieces += [values[at : at + size] for at in range(first, len(values), size)]
    sums = [sum(piece) for piece in pieces]
    top = max(sums) or 1
    return "".join(_BARS[-(-value * 8 // top) - 1] if value else " " for value in sums)
