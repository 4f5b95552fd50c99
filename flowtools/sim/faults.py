"""Faults on demand: what a server, a network and other users do to a client."""

import random
from dataclasses import dataclass
from threading import Lock

KINDS = ("5xx", "slow", "drop", "conflict")
"""The faults there are."""

SLOWEST = 0.5
"""Seconds that a slow answer takes at most."""


@dataclass(frozen=True)
class Rates:
    """How likely each fault is, from 0 to 1.

    Attributes:
        failing: A request is answered with 500, 502, 503 or 504.
        slow: A request waits up to SLOWEST.
        drop: A connection is cut: of HTTP before or after the request is done, of STOMP
            when a message is sent.
        conflict: A PUT with an etag is answered with 409, 412 or 428.
    """

    failing: float = 0.0
    slow: float = 0.0
    drop: float = 0.0
    conflict: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Rates":
        """Read "5xx=0.05,slow=0.1,drop=0.01,conflict=0.1", each part optional.

        Raises:
            ValueError: It has another form.
        """
        given: dict[str, float] = {}
        for part in text.split(","):
            kind, _, said = part.partition("=")
            if kind not in KINDS or kind in given:
                raise ValueError(f"expected KIND=RATE with a kind of {', '.join(KINDS)}: '{part}'")
            try:
                given[kind] = float(said)
            except ValueError:
                given[kind] = -1.0
            if not 0 <= given[kind] <= 1:
                raise ValueError(f"expected a rate from 0 to 1: '{part}'")
        return cls(*(given.get(kind, 0.0) for kind in KINDS))


class Faults:
    """Throws the dice; any thread may ask. The same seed gives the same throws."""

    def __init__(self, rates: Rates, seed: int) -> None:
        self._rates = rates
        self._dice = random.Random(seed)  # noqa: S311  repeatable, and no secret
        self._lock = Lock()

    def status(self, *, conditional: bool) -> int | None:
        """Return the status to answer with instead of doing what is asked; mostly None."""
        if self._happens(self._rates.failing):
            return self._one_of((500, 502, 503, 504))
        if conditional and self._happens(self._rates.conflict):
            return self._one_of((409, 412, 428))
        return None

    def pause(self) -> float:
        """Return the seconds to wait before an answer; mostly 0."""
        if not self._happens(self._rates.slow):
            return 0.0
        with self._lock:
            return self._dice.uniform(0, SLOWEST)

    def drops(self) -> bool:
        """Return whether a connection is to be cut here."""
        # HTTP asks twice for each request, before and after.
        return self._happens(self._rates.drop)

    def _happens(self, rate: float) -> bool:
        with self._lock:
            return rate > 0 and self._dice.random() < rate

    def _one_of(self, choices: tuple[int, ...]) -> int:
        with self._lock:
            return self._dice.choice(choices)
