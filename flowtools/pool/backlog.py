"""Events that wait inside the pool: for their key's turn, a back-off, or the end of a pause.

A waiting event occupies no thread. Any thread of the pool puts events here, and the next free one
takes the first that can start. The number and the bytes of waiting events are bounded: while the
backlog is full, the pool reads no further input. If that bound were missing, one slow key or a long
pause would read the whole input into memory.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from threading import Lock
from time import monotonic

from flowtools.pool.inflight import InFlight
from flowtools.pool.keys import Keys
from flowtools.pool.pause import Pause

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024


class Backlog:
    """The waiting events. Any thread may call any method; none of them blocks.

    Attributes:
        held: Number of waiting events.
        leads: Whether a thread must call `take` before it takes a line of the input.
        is_full: Whether the pool must not read further input.
    """

    def __init__(
        self,
        pause: Pause | None = None,
        keys: Keys | None = None,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """Hold at most `max_events` events and `max_bytes` bytes of lines.

        `pause` may stop the pool; `keys` knows when an event's key may start.
        """
        self._lock = Lock()
        self._pause = pause
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        # The next three are read without the lock, for every event. A thread that sees an old value
        # only looks once more, or takes one line more.
        self.held = 0
        self.leads = False
        self.is_full = False
        self._kept: list[tuple[int, InFlight]] = []
        self._order = count()  # Two events may be due at the same time, and cannot be compared.
        # With each event, whether its key's next start has been reserved for it.
        self._delayed: list[tuple[float, int, InFlight, bool]] = []
        self._ready: deque[InFlight] = deque()
        self._keys = keys or Keys()

    def next_due(self) -> float | None:
        """Return when the next event can start (monotonic seconds); None: no time is known."""
        with self._lock:
            if self._ready or self._kept:
                return 0.0
            return self._delayed[0][0] if self._delayed else None

    def delay(self, flight: InFlight, seconds: float) -> None:
        """Keep an event for `seconds`; later events of its key wait behind it."""
        with self._lock:
            flight.since = monotonic() + seconds
            heappush(self._delayed, (flight.since, next(self._order), flight, False))
            self._hold(flight)

    def keep(self, flight: InFlight) -> None:
        """Keep an event until the pause is over; kept events come first, in input order."""
        with self._lock:
            flight.since = monotonic()
            heappush(self._kept, (flight.number, flight))
            self._hold(flight)

    def note_pause(self) -> None:
        """Update `leads` after the pause has ended."""
        with self._lock:
            self._measure()

    def take(self) -> InFlight | None:
        """Return an event that can start now, if there is one."""
        if not self.held:
            return None
        with self._lock:
            now = monotonic()
            while True:
                is_reserved = False
                if self._kept:
                    # Its key's start was reserved for it, and it did not start then.
                    flight, is_reserved = heappop(self._kept)[1], True
                elif self._delayed and self._delayed[0][0] <= now:
                    _, _, flight, is_reserved = heappop(self._delayed)
                elif self._ready:
                    flight = self._ready.popleft()
                else:
                    return None
                if is_reserved or self._may_start(flight, now):
                    return self._release(flight)

    def enter(self, flight: InFlight, key: str) -> bool:
        """Return True if the event may start at once; otherwise keep it until its key's turn."""
        with self._lock:
            if self._keys.enter(flight, key) and self._may_start(flight, monotonic()):
                return True
            self._hold(flight)
            return False

    def leave(self, key: str) -> None:
        """Note that the running event of `key` is settled: the key's next event becomes ready."""
        with self._lock:
            flight = self._keys.leave(key)
            if flight is not None:
                flight.since = monotonic()
                self._ready.append(flight)

    def drain(self) -> list[InFlight]:
        """Remove and return all waiting events, in input order."""
        with self._lock:
            flights = [flight for _, flight in self._kept]
            flights += (flight for _, _, flight, _ in self._delayed)
            flights += self._ready
            flights += self._keys.drain()
            self._kept.clear()
            self._delayed.clear()
            self._ready.clear()
            self.held = self._bytes = 0
            self._measure()
        return sorted(flights, key=lambda flight: flight.number)

    def _may_start(self, flight: InFlight, now: float) -> bool:
        """Return True if the event's key may start now; otherwise delay the event until then."""
        seconds = self._keys.wait_time(flight, now)
        if seconds > 0:
            # `held` stays as it is: `take` has only moved the event, and `enter` counts it itself.
            heappush(self._delayed, (now + seconds, next(self._order), flight, True))
        return seconds <= 0

    def _hold(self, flight: InFlight) -> None:
        self.held += 1
        self._bytes += len(flight.line)
        self._measure()

    def _release(self, flight: InFlight) -> InFlight:
        self.held -= 1
        self._bytes -= len(flight.line)
        self._measure()
        return flight

    def _measure(self) -> None:
        self.leads = self.held > 0 or (self._pause is not None and self._pause.is_on)
        self.is_full = self.held >= self._max_events or self._bytes >= self._max_bytes
