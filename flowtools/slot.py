"""One place of a pool's width: what its thread runs, and who decides what becomes of it."""

import threading

from flowtools.attempt import Outcome
from flowtools.backlog import Job
from flowtools.event import Event
from flowtools.runner import Runner

Taken = tuple[Event, bytes, int, float]
"""An event just read, with what a Job is made of: its line, its number, and since when."""


class Claim:
    """The watchdog's decision on an attempt whose token it has popped."""

    __slots__ = ("at", "interrupted", "settler", "verdict")

    def __init__(self, verdict: Outcome, at: float) -> None:
        self.verdict = verdict
        self.at = at
        self.interrupted = False
        self.settler = [None]  # Popped by who settles: the thread, or its replacement.


class Slot:
    """One place of the pool's width: its thread, and what that runs."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.thread: threading.Thread | None = None
        self.running: Taken | Job | None = None
        self.token: list[float] = []
        self.claim: Claim | None = None
        self.started = 0.0
        self.done = 0
        self.ended = False

    @property
    def job(self) -> Job | None:
        """What runs. A Job is made only for who asks: most events need none."""
        running = self.running
        return Job(*running) if isinstance(running, tuple) else running
