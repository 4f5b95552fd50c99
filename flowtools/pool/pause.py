"""The pause of a pool while the server behind its Worker is down.

A pause begins when a Worker raises Unavailable, or an exception that --pause-on names. The event is
kept and its attempt does not count. The pool takes no event and reads no input. After a wait, one
event is tried: the *probe*. While probes find the server down, the waits grow; once a probe is
done, the pool continues. A probe that fails in another way says nothing about the server: its event
fails as usual, and another event becomes the probe, without a further wait.

Attempts that were running when the pause began may end in any way. Events whose attempts raise
Unavailable, too, are kept. If such an attempt ends only after the pause, its event is kept, but no
new pause begins.

A thread that wants an event calls `claim`, and then `send` with the event it found. A thread that
has ended a probe calls `ended`, unless it has called `note`. If a thread did neither, the pool
would wait for its probe for ever.
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from flowtools.core.log import get_log
from flowtools.core.times import short_duration
from flowtools.pool.inflight import InFlight
from flowtools.pool.outcome import Failure
from flowtools.pool.settings import RetryPolicy

SHORTEST = 0.1
"""Minimum wait between two probes, in seconds, whatever --backoff says."""

REMIND_AFTER = 60.0
"""Seconds of a pause until it is logged again; then after twice as long each time."""

LONGEST_SILENCE = 3600.0

log = get_log("flowtools.pool")


class Pause:
    """The state of the pause, and of its probe. Safe from any thread; nothing here blocks.

    Attributes:
        is_on: Whether the pool pauses.
        since: The time at which the pause began, in seconds of `time.monotonic()`.
    """

    def __init__(self, policy: RetryPolicy, tell: Callable[[str], None] | None = None) -> None:
        """Take the waits from `policy`; `tell` sends a status line to the service manager."""
        self.is_on = False
        self.since = 0.0
        self._policy = policy
        self._tell = tell
        self._lock = Lock()
        self._is_probing = False
        self._probe: InFlight | None = None
        self._opens = 0.0
        self._waited = 0.0
        self._waits = 0
        self._probes = 0
        self._over_at = float("-inf")
        self._remind_at = 0.0
        self._silence = REMIND_AFTER

    @property
    def seconds(self) -> float:
        """Seconds for which the pool has paused; 0 if it does not pause."""
        return monotonic() - self.since if self.is_on else 0.0

    def opens(self) -> float | None:
        """Return when the next probe may start (monotonic seconds); None: one is running.

        Only meaningful while the pause is on.
        """
        with self._lock:
            return None if self._is_probing else self._opens

    def holds(self) -> bool:
        """Return whether no event may be taken now."""
        if not self.is_on:
            return False
        opens = self.opens()
        return opens is None or opens > monotonic()

    def claim(self) -> bool:
        """Return whether the caller may look for an event; if so, it must then call `send`."""
        with self._lock:
            if not self.is_on:
                return True  # The pause has ended since the caller looked.
            if self._is_probing or self._opens > monotonic():
                return False
            self._is_probing = True
            return True

    def send(self, flight: InFlight | None) -> None:
        """Make `flight` the probe; None: the caller found no event."""
        with self._lock:
            # If the pause has ended since `claim`, the event just runs. It must not count as the
            # probe of a later pause, which only an attempt that begins in that pause can end.
            self._probe = flight if self.is_on else None
            self._is_probing = self._probe is not None

    def is_probe(self, flight: InFlight) -> bool:
        """Return whether `flight` may start although the pool pauses."""
        return flight is self._probe

    def note(self, flight: InFlight, started: float, failure: Failure) -> None:
        """Note that an attempt at `flight`, begun at `started`, found the server down."""
        with self._lock:
            now = monotonic()
            asked = failure.after or 0.0
            is_probe = self.is_on and flight is self._probe
            if is_probe:
                said = self._go_on_pausing(now, asked, failure)
            elif self.is_on:
                # It was running when the pause began. No probe starts earlier than it asks for.
                self._opens = max(self._opens, now + asked)
                return
            elif started < self._over_at:
                return  # A probe has succeeded since it began, so it says nothing about now.
            else:
                said = self._begin(now, asked, flight, failure)
        self._say(said)

    def ended(self, flight: InFlight, *, is_done: bool) -> bool:
        """Note that an attempt has ended in another way; return whether it was the probe."""
        with self._lock:
            if not self.is_on or flight is not self._probe:
                return False
            self._is_probing, self._probe = False, None
            if not is_done:
                self._opens = monotonic()  # Another event may be tried at once.
                return True
            self.is_on = False
            self._over_at = monotonic()
            said = f"continuing after a pause of {short_duration(self._over_at - self.since)}"
        self._say(f"{said}: event '{flight.label}' is done", status="")
        return True

    def _begin(self, now: float, asked: float, flight: InFlight, failure: Failure) -> str:
        # If the server is down again at once, it is the same outage, and the waits keep growing.
        is_new = now - self._over_at > self._waited
        self.is_on, self.since = True, now
        self._probes = 0
        self._silence = REMIND_AFTER
        self._remind_at = now + self._silence
        seconds = self._delay(now, asked, number=1 if is_new else self._waits + 1)
        return (
            f"paused: the server behind the Worker is down: event '{flight.label}':"
            f" {failure.text}; trying one event in {short_duration(seconds)}"
        )

    def _go_on_pausing(self, now: float, asked: float, failure: Failure) -> str:
        self._is_probing, self._probe = False, None
        self._probes += 1
        seconds = self._delay(now, asked, number=self._waits + 1)
        if now < self._remind_at:
            return ""  # A message for every probe of a long outage would fill the log.
        self._silence = min(2 * self._silence, LONGEST_SILENCE)
        self._remind_at = now + self._silence
        return (
            f"still paused after {short_duration(now - self.since)} and {self._probes} probes:"
            f" {failure.text}; trying one event in {short_duration(seconds)}"
        )

    def _delay(self, now: float, asked: float, *, number: int) -> float:
        self._waits = number
        self._waited = max(asked, self._policy.wait(number), SHORTEST)
        self._opens = now + self._waited
        return self._waited

    def _say(self, text: str, status: str | None = None) -> None:
        if not text:
            return
        log.warning("%s", text)
        if self._tell is not None:
            self._tell(text if status is None else status)
