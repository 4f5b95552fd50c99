"""The turns of the keys: limits how many events of a key run at a time, and how fast they start.

A key is stored only while an event of it runs or waits, so that the number of different keys costs
nothing. The limit of starts (`KeyPace`) has its own memory, which is bounded.
"""

from collections import deque
from collections.abc import Iterator

from flowtools.pool.inflight import InFlight
from flowtools.pool.settings import KeyPace


class _Turn:
    """One key: the number of its events that run or wait for a retry, and the events after them."""

    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.running = 0
        self.waiting: deque[InFlight] | None = None


class Keys:
    """The keys of a pool's events. Not thread-safe: the caller holds the backlog's lock."""

    def __init__(self, per_key: int = 1, pace: KeyPace | None = None) -> None:
        """Let `per_key` events of a key run at a time; `pace` limits their starts."""
        self._per_key = per_key
        self._pace = pace
        self._turns: dict[str, _Turn] = {}

    def enter(self, flight: InFlight, key: str) -> bool:
        """Return True if it is the event's turn; otherwise keep it until its turn comes."""
        turn = self._turns.get(key)
        if turn is None:
            turn = self._turns[key] = _Turn()
        if turn.running < self._per_key:
            turn.running += 1
            return True
        if turn.waiting is None:
            turn.waiting = deque()  # Made late: most keys have one event at a time.
        turn.waiting.append(flight)
        return False

    def leave(self, key: str) -> InFlight | None:
        """Note that an event of `key` is settled; return the event whose turn has come, if any."""
        turn = self._turns[key]
        if turn.waiting:
            return turn.waiting.popleft()  # It takes over the place: `running` does not change.
        turn.running -= 1
        if not turn.running:
            del self._turns[key]
        return None

    def wait_time(self, flight: InFlight, now: float) -> float:
        """Reserve the next start of the event's key; return how many seconds away it is."""
        if self._pace is None or flight.key is None:
            return 0.0
        return self._pace.wait_time(flight.key, now)

    def drain(self) -> Iterator[InFlight]:
        """Yield the waiting events, and forget all keys."""
        for turn in self._turns.values():
            yield from turn.waiting or ()
        self._turns.clear()
