"""One place of a pool's width: what its thread runs, and who decides what becomes of it.

That is settled without a lock. When `start` has returned, the thread takes its token away
and then looks for a claim; when the time is up, the watchdog puts a claim and then looks
whether the token is still there. So one of the two sees the other in any case: a claim
that found the token stands, and the thread will find it; one that did not is withdrawn.
"""

import threading
from time import sleep
from typing import Any

from flowtools.core.event import Event
from flowtools.core.log import About
from flowtools.pool.backlog import Job
from flowtools.pool.outcome import Outcome
from flowtools.pool.runner import Runner

Line = tuple[int, bytes, float]
"""A line just read: its number, from 1; itself, without its end; since when it waits."""


def about(attributes: dict[str, Any], attempt: int) -> About:
    """Return what to say of an attempt; a Worker may have done anything to the attributes."""
    subject = attributes.get("subject")
    identity = str(attributes.get("id", "?"))
    return About(identity, None if subject is None else str(subject), attempt)


class Claim:
    """The watchdog's decision on an attempt.

    Attributes:
        verdict: What it is to become of the attempt.
        at: When that was decided, in seconds of `time.monotonic()`.
        stands: The attempt had not ended: the verdict counts.
        withdrawn: It had.
        interrupted: The thread has been told.
    """

    __slots__ = ("_settler", "at", "interrupted", "stands", "verdict", "withdrawn")

    def __init__(self, verdict: Outcome, at: float) -> None:
        self.verdict = verdict
        self.at = at
        self.stands = self.withdrawn = self.interrupted = False
        self._settler = [None]

    def is_mine(self) -> bool:
        """Return whether the caller is to settle the attempt: who asks first is."""
        try:
            self._settler.pop()
        except IndexError:
            return False
        return True


class Slot:
    """One place of the pool's width: its thread, and what that runs.

    Attributes:
        is_busy: The thread takes events, and has not yet found that there are none.
        running: What `event` was made from; None between two events.
        event: What the Worker has, or had last.
        attributes: What that was made from; the Worker cannot change it.
        token: The deadline of the attempt while `start` runs, then None.
        claim: The watchdog's, if there is one.
        started: When the attempt began, in seconds of `time.monotonic()`.
        done: How many events ended here that the settlement has not counted.
        ended: The thread has.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        runner.attribute_to(self.about)
        self.thread: threading.Thread | None = None
        self.is_busy = False
        self.running: Line | Job | None = None
        self.event: Event | None = None
        self.attributes: dict[str, Any] = {}
        self.token: float | None = None
        self.claim: Claim | None = None
        self.started = 0.0
        self.done = 0
        self.ended = False

    @property
    def job(self) -> Job | None:
        """What runs. A Job is made only for who asks: most events need none."""
        running = self.running
        if running is None or isinstance(running, Job):
            return running
        number, line, since = running
        return Job(Event.of(self.attributes), line, number, since)

    def about(self, *, is_last: bool = False) -> About | None:
        """Return which attempt runs, for what is said meanwhile; None: none does.

        `is_last`: or which one ran last.
        """
        running, event = self.running, self.event
        if event is None or (running is None and not is_last):
            return None
        attempt = running.attempt if isinstance(running, Job) else 1
        return about(self.attributes, attempt)

    def put(self, claim: Claim, token: float) -> bool:
        """Claim the attempt that has `token`, which is not None; return whether that stands."""
        self.claim = claim
        # The same object, not the same time: the next attempt may have that, too.
        if self.token is token:
            claim.stands = True
            return True
        self.claim = None
        claim.withdrawn = True
        return False

    def is_claimed(self) -> bool:
        """Return whether the attempt just ended is the watchdog's; called once it has no token."""
        while (claim := self.claim) is not None and not claim.withdrawn:
            if claim.stands:
                return True
            sleep(0)  # It is being decided.
        return False
