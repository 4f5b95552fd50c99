"""Events that wait inside the pool: for their key's turn, or for the end of a back-off.

Waiting occupies no thread. What waits is bounded by number and by bytes; while the
backlog is full the pool reads no further input.
"""

from collections import deque
from heapq import heappop, heappush
from itertools import count
from threading import Lock
from time import monotonic

from flowtools.core.event import Event

MAX_EVENTS = 10_000
MAX_BYTES = 64 * 1024 * 1024


class Job:
    """One event on its way through the pool.

    Attributes:
        event: The decoded event.
        line: The input line, without its end.
        number: The line's place in the input, from 1.
        since: When it began to wait for a thread, in seconds of `time.monotonic()`.
        attempt: 1 for the first try.
        key: What `--key` gave for it, or None.
    """

    __slots__ = ("attempt", "event", "key", "line", "number", "since")

    def __init__(
        self,
        event: Event,
        line: bytes,
        number: int,
        since: float,
        attempt: int = 1,
        key: str | None = None,
    ) -> None:
        self.event = event
        self.line = line
        self.number = number
        self.since = since
        self.attempt = attempt
        self.key = key

    @property
    def label(self) -> str:
        """What to call the event in a message: its subject, else its id."""
        return str(self.event.subject or self.event.id)


class Backlog:
    """The waiting jobs. Safe from any thread; nothing here blocks.

    Attributes:
        held: How many wait.
        is_full: Whether the pool must not read further input.
    """

    def __init__(self, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._lock = Lock()
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._bytes = 0
        self.held = 0
        self.is_full = False
        self._order = count()
        self._delayed: list[tuple[float, int, Job]] = []
        self._ready: deque[Job] = deque()
        # A key is here while one of its events runs or waits for a retry.
        self._keys: dict[str, deque[Job]] = {}

    def next_due(self) -> float | None:
        """Return when the next job can start (monotonic seconds); None: no job will by itself."""
        with self._lock:
            if self._ready:
                return 0.0
            return self._delayed[0][0] if self._delayed else None

    def delay(self, job: Job, seconds: float) -> None:
        """Keep `job` for `seconds`; it keeps its key's place."""
        with self._lock:
            job.since = monotonic() + seconds
            heappush(self._delayed, (job.since, next(self._order), job))
            self._hold(job)

    def take(self) -> Job | None:
        """Return a job that can start now, if there is one."""
        if not self.held:
            return None
        with self._lock:
            if self._delayed and self._delayed[0][0] <= monotonic():
                return self._release(heappop(self._delayed)[2])
            return self._release(self._ready.popleft()) if self._ready else None

    def enter(self, job: Job, key: str) -> bool:
        """Return True if `job` may start at once; else keep it until its key's turn comes."""
        with self._lock:
            waiting = self._keys.get(key)
            if waiting is None:
                self._keys[key] = deque()
                return True
            waiting.append(job)
            self._hold(job)
            return False

    def leave(self, key: str) -> None:
        """Say that the event of `key` that ran is settled: the next one becomes ready."""
        with self._lock:
            waiting = self._keys[key]
            if waiting:
                job = waiting.popleft()
                job.since = monotonic()
                self._ready.append(job)
            else:
                del self._keys[key]

    def drain(self) -> list[Job]:
        """Return every job that waits, in input order, and forget them."""
        with self._lock:
            jobs = [job for _, _, job in self._delayed]
            jobs += self._ready
            jobs += (job for waiting in self._keys.values() for job in waiting)
            self._delayed.clear()
            self._ready.clear()
            self._keys.clear()
            self.held = self._bytes = 0
            self._measure()
        return sorted(jobs, key=lambda job: job.number)

    def _hold(self, job: Job) -> None:
        self.held += 1
        self._bytes += len(job.line)
        self._measure()

    def _release(self, job: Job) -> Job:
        self.held -= 1
        self._bytes -= len(job.line)
        self._measure()
        return job

    def _measure(self) -> None:
        self.is_full = self.held >= self._max_events or self._bytes >= self._max_bytes
