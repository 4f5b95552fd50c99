"""Counts events of each type, in total and by second, for the rates and sparklines of the table."""

from collections import Counter, deque
from dataclasses import dataclass, field

SPAN = 120
"""Number of past seconds that a sparkline shows."""

RATE_SPAN = 5
"""Number of past seconds over which a rate is averaged."""

MAX_TYPES = 50
"""Maximum number of types that are counted separately, so that memory is bounded."""

OTHERS = "(other types)"

_BARS = "▁▂▃▄▅▆▇█"


@dataclass
class Track:
    """The counts of one type.

    Attributes:
        total: Number of events so far.
        seconds: Number of events in each of the last SPAN seconds; the current second is last.
    """

    total: int = 0
    seconds: deque[int] = field(default_factory=lambda: deque([0] * SPAN, maxlen=SPAN))

    def rate(self, elapsed: float) -> float:
        """Return the events per second over the last RATE_SPAN complete seconds.

        `elapsed`: seconds since the beginning, which may be fewer.
        """
        span = max(1, min(RATE_SPAN, int(elapsed)))
        # The current second is not complete and would make every rate too low.
        counted = list(self.seconds)[-span - 1 : -1] if elapsed >= 1 else [self.seconds[-1]]
        return sum(counted) / span


class Rates:
    """Counts of events by type and by second.

    No clock is read here: each caller gives the time, in seconds of a monotonic clock.

    Attributes:
        all: The counts of all types together.
    """

    def __init__(self, now: float) -> None:
        """Begin to count at the time `now`."""
        self._began = now
        self._second = 0
        self._tracks: dict[str, Track] = {}
        self.all = Track()

    def count(self, kinds: Counter[str], now: float) -> None:
        """Add the number of events of each type that have just arrived."""
        self.advance(now)
        for kind, number in kinds.items():
            # A type may be any text, and every type takes memory.
            if kind not in self._tracks and len(self._tracks) >= MAX_TYPES:
                kind = OTHERS
            track = self._tracks.setdefault(kind, Track())
            for each in (track, self.all):
                each.total += number
                each.seconds[-1] += number

    def advance(self, now: float) -> None:
        """Begin new seconds up to the time `now`."""
        second = int(now - self._began)
        # After a long pause, such as Control-Z, SPAN empty seconds say all there is to say.
        for _ in range(min(second - self._second, SPAN)):
            for track in (*self._tracks.values(), self.all):
                track.seconds.append(0)
        self._second = max(second, self._second)

    def elapsed(self, now: float) -> float:
        """Return the seconds since the beginning."""
        return now - self._began

    def most(self, number: int) -> list[tuple[str, Track]]:
        """Return the `number` most frequent types with their counts, the most frequent first."""
        return sorted(self._tracks.items(), key=lambda each: (-each[1].total, each[0]))[:number]


def sparkline(values: list[int], width: int) -> str:
    """Return `values` as a row of at most `width` bars, in the same order.

    If there are more values than room, neighbours are added up. Any value above 0 gets at least the
    lowest bar; 0 is a blank.
    """
    if width < 1 or not values:
        return ""
    size = -(-len(values) // width)
    first = len(values) % size
    # The oldest piece may be shorter, never the newest, which is the one that people watch.
    pieces = [values[:first]] if first else []
    pieces += [values[at : at + size] for at in range(first, len(values), size)]
    sums = [sum(piece) for piece in pieces]
    top = max(sums) or 1
    return "".join(_BARS[-(-value * 8 // top) - 1] if value else " " for value in sums)
