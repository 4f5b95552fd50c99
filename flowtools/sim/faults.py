"""Faults on demand: what a server, a network and other users do to a client."""

import gzip
import random
import time
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from threading import Lock

from flowtools.core.times import parse_duration
from flowtools.sim.asking import Reply

KINDS = {
    "5xx": "failing",
    "401": "unauthorized",
    "403": "forbidden",
    "404": "missing",
    "html": "html",
    "gzip": "packed",
    "slow": "slow",
    "slow-body": "slow_body",
    "drop": "drop",
    "conflict": "conflict",
}
"""What the faults that have a rate are called, and the field of each."""

CLOCK = "clock"
"""The one that has seconds."""

SLOWEST = 0.5
"""Seconds that a slow answer takes at most."""

SLOWEST_BODY = 3.0
"""Seconds that a slow body takes."""

UNPACKED = 3_000_000_000
"""Bytes that an answer would have that is packed twice."""

LARGEST_CLOCK = 10 * 365 * 86400.0

PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Log in.</body></html>\n"


@dataclass(frozen=True)
class Rates:
    """How likely each fault is, from 0 to 1; and how wrong the clock is.

    Attributes:
        failing: A request is answered with 500, 502, 503 or 504.
        slow: A request waits up to SLOWEST.
        drop: A connection is cut: of HTTP before or after the request is done, of STOMP
            when a message is sent.
        conflict: A PUT with an etag is answered with 409, 412 or 428.
        unauthorized: A request is answered with 401.
        forbidden: A request is answered with 403.
        missing: A request is answered with 404.
        html: A request is answered with 200 and a page for people.
        packed: An answer is packed twice with gzip, unasked, and would have UNPACKED bytes.
        slow_body: A body comes piece by piece for SLOWEST_BODY.
        clock: Seconds by which the server's clock is ahead (negative: behind).
    """

    failing: float = 0.0
    slow: float = 0.0
    drop: float = 0.0
    conflict: float = 0.0
    unauthorized: float = 0.0
    forbidden: float = 0.0
    missing: float = 0.0
    html: float = 0.0
    packed: float = 0.0
    slow_body: float = 0.0
    clock: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Rates":
        """Read "5xx=0.05,slow=0.1,clock=-3600", each part optional.

        Raises:
            ValueError: It has another form.
        """
        given: dict[str, float] = {}
        for part in text.split(","):
            kind, _, said = part.partition("=")
            name = CLOCK if kind == CLOCK else KINDS.get(kind)
            if name is None or name in given:
                known = ", ".join([*KINDS, CLOCK])
                raise ValueError(f"expected KIND=RATE with a kind of {known}: '{part}'")
            given[name] = _seconds(said) if name == CLOCK else _number(said)
            if name == CLOCK and not abs(given[name]) <= LARGEST_CLOCK:
                raise ValueError(f"expected a number of seconds, such as -3600: '{part}'")
            if name != CLOCK and not 0 <= given[name] <= 1:
                raise ValueError(f"expected a rate from 0 to 1: '{part}'")
        return cls(**given)

    def __str__(self) -> str:
        names = {field: kind for kind, field in KINDS.items()} | {CLOCK: CLOCK}
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return ",".join(f"{names[name]}={value:g}" for name, value in given.items() if value)


class Faults:
    """Throws the dice; any thread may ask. The same seed gives the same throws.

    Attributes:
        rates: How likely each fault is; may be replaced at any time.
    """

    def __init__(self, rates: Rates, seed: int) -> None:
        self.rates = rates
        self._dice = random.Random(seed)  # noqa: S311  repeatable, and no secret
        self._lock = Lock()

    def status(self, *, conditional: bool) -> int | None:
        """Return the status to answer with instead of doing what is asked; mostly None."""
        rates = self.rates
        if self._happens(rates.failing):
            return self._one_of((500, 502, 503, 504))
        for rate, status in (
            (rates.unauthorized, 401),
            (rates.forbidden, 403),
            (rates.missing, 404),
        ):
            if self._happens(rate):
                return status
        if conditional and self._happens(rates.conflict):
            return self._one_of((409, 412, 428))
        return None

    def disguise(self, reply: Reply) -> Reply:
        """Return what is sent instead of `reply`; mostly `reply` itself."""
        if self._happens(self.rates.html):
            return Reply(PAGE, "text/html; charset=utf-8")
        if self._happens(self.rates.packed):
            headers = reply.headers | {"Content-Encoding": "gzip, gzip"}
            return replace(reply, body=_packed(), headers=headers)
        return reply

    def pause(self) -> float:
        """Return the seconds to wait before an answer; mostly 0."""
        if not self._happens(self.rates.slow):
            return 0.0
        with self._lock:
            return self._dice.uniform(0, SLOWEST)

    def slow_body(self) -> float:
        """Return the seconds that a body is to take; mostly 0."""
        return SLOWEST_BODY if self._happens(self.rates.slow_body) else 0.0

    def drops(self) -> bool:
        """Return whether a connection is to be cut here."""
        # HTTP asks twice for each request, before and after.
        return self._happens(self.rates.drop)

    def time(self) -> float:
        """Return the server's time, in seconds since the epoch."""
        return time.time() + self.rates.clock

    def now(self) -> str:
        """Return the server's time as Viz One writes it, to the microsecond."""
        moment = datetime.fromtimestamp(self.time(), UTC)
        return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def _happens(self, rate: float) -> bool:
        if rate <= 0:
            return False
        with self._lock:
            return self._dice.random() < rate

    def _one_of(self, choices: tuple[int, ...]) -> int:
        with self._lock:
            return self._dice.choice(choices)


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        return float("nan")


def _seconds(said: str) -> float:
    """Return the seconds that `said` is; a minus stands for a clock that is behind."""
    try:
        behind = said.startswith("-")
        return parse_duration(said.lstrip("-+")) * (-1 if behind else 1)
    except ValueError:
        return float("nan")


@cache
def _packed() -> bytes:
    """Return some kilobytes that unpack to megabytes, and those to UNPACKED bytes."""
    piece = gzip.compress(bytes(10_000_000), mtime=0)
    # Members of a gzip file may follow each other (RFC 1952, 2.2).
    return gzip.compress(piece * (UNPACKED // 10_000_000), mtime=0)
