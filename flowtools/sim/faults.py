"""Simulated faults: what a server, a network or another user may do to a client.

`Faults` only decides, at random but repeatably; web.py and broker.py ask it at each request and
each message, and carry the decision out. The rates may be replaced while the stand-in runs.
"""

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
"""Names of the faults that have a rate, each with its field in Rates."""

CLOCK = "clock"
"""Name of the fault that is given in seconds: a wrong clock."""

SLOWEST = 0.5
"""Maximum delay of a slow answer, in seconds."""

SLOWEST_BODY = 3.0
"""Time that a slow body takes, in seconds."""

UNPACKED = 3_000_000_000
"""Size of an answer that is compressed twice, in bytes once it is unpacked."""

LARGEST_CLOCK = 10 * 365 * 86400.0
"""Maximum deviation of the server's clock, in seconds: ten years."""

PAGE = b"<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>Log in.</body></html>\n"
"""The page of the `html` fault: what a proxy or a single sign-on shows instead of the answer."""


@dataclass(frozen=True)
class Rates:
    """Probability of each fault, from 0 (never) to 1 (always), and the error of the clock.

    Attributes:
        failing: A request is answered with 500, 502, 503 or 504.
        slow: An answer is delayed by up to SLOWEST.
        drop: A connection is cut: an HTTP connection before or after the request is carried
            out, a STOMP connection when a message is published.
        conflict: A PUT with an etag is answered with 409, 412 or 428.
        unauthorized: A request is answered with 401.
        forbidden: A request is answered with 403.
        missing: A request is answered with 404.
        html: A request is answered with 200 and a web page for people.
        packed: An answer is compressed twice with gzip without being asked for; unpacked it
            has UNPACKED bytes.
        slow_body: The body of an answer arrives in pieces over SLOWEST_BODY.
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
        """Read text such as "5xx=0.05,slow=0.1,clock=-3600", in any order.

        Raises:
            ValueError: A part has another form, an unknown name or a value out of range.
        """
        given: dict[str, float] = {}
        for part in text.split(","):
            kind, _, said = part.partition("=")
            name = CLOCK if kind == CLOCK else KINDS.get(kind)
            if name is None:
                known = ", ".join([*KINDS, CLOCK])
                raise ValueError(f"invalid fault '{part}': expected KIND=RATE, KIND one of {known}")
            if name in given:
                raise ValueError(f"invalid fault '{part}': expected each kind once")
            given[name] = _seconds(said) if name == CLOCK else _number(said)
            if name == CLOCK and not abs(given[name]) <= LARGEST_CLOCK:
                raise ValueError(f"invalid fault '{part}': expected seconds, such as -3600")
            if name != CLOCK and not 0 <= given[name] <= 1:
                raise ValueError(f"invalid fault '{part}': expected a rate from 0 to 1")
        return cls(**given)

    def __str__(self) -> str:
        names = {field: kind for kind, field in KINDS.items()} | {CLOCK: CLOCK}
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        return ",".join(f"{names[name]}={value:g}" for name, value in given.items() if value)


class Faults:
    """Decides which faults happen. Thread-safe; the same seed gives the same decisions.

    Attributes:
        rates: Probabilities of the faults; may be replaced at any time.
    """

    def __init__(self, rates: Rates, seed: int) -> None:
        self.rates = rates
        self._dice = random.Random(seed)  # noqa: S311  repeatable, and no secret
        self._lock = Lock()

    def status(self, *, conditional: bool) -> int | None:
        """Return a status to answer with instead of carrying out the request; mostly None.

        `conditional` is true for a PUT with If-Match, the only kind of request that may conflict.
        """
        # Read once: another thread may replace the rates meanwhile.
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
        """Return the reply to send instead of `reply`; mostly `reply` itself."""
        if self._happens(self.rates.html):
            return Reply(PAGE, "text/html; charset=utf-8")
        if self._happens(self.rates.packed):
            headers = reply.headers | {"Content-Encoding": "gzip, gzip"}
            return replace(reply, body=_packed(), headers=headers)
        return reply

    def pause(self) -> float:
        """Return the delay of an answer in seconds; mostly 0."""
        if not self._happens(self.rates.slow):
            return 0.0
        with self._lock:
            return self._dice.uniform(0, SLOWEST)

    def slow_body(self) -> float:
        """Return how many seconds the body of an answer shall take; mostly 0."""
        return SLOWEST_BODY if self._happens(self.rates.slow_body) else 0.0

    def drops(self) -> bool:
        """Return whether a connection shall be cut now."""
        # web.py asks twice for each request: before and after it is carried out.
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
        # One generator for all threads, so that a seed gives one sequence of decisions.
        with self._lock:
            return self._dice.random() < rate

    def _one_of(self, choices: tuple[int, ...]) -> int:
        with self._lock:
            return self._dice.choice(choices)


def _number(said: str) -> float:
    try:
        return float(said)
    except ValueError:
        # NaN fails every check of a range, so `parse` reports it with the others.
        return float("nan")


def _seconds(said: str) -> float:
    """Return the seconds that `said` means, negative for a clock that is behind; or NaN."""
    try:
        behind = said.startswith("-")
        return parse_duration(said.lstrip("-+")) * (-1 if behind else 1)
    except ValueError:
        return float("nan")


@cache
def _packed() -> bytes:
    """Return some kilobytes that unpack to megabytes, which unpack to UNPACKED bytes."""
    piece = gzip.compress(bytes(10_000_000), mtime=0)
    # Members of a gzip file may follow each other (RFC 1952, 2.2).
    return gzip.compress(piece * (UNPACKED // 10_000_000), mtime=0)
