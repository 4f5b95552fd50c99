"""Changes that collide: read, change, write, and once more if somebody else was faster.

Whoever writes first wins, and the others read again. Those who collided wait for a random part
of a pause that grows with each try, so that they come back apart. The pause is measured in
attempts, not in seconds alone: against a slow server the same number of writers needs as many
tries as against a quick one. It stops growing at LONGEST attempts, or newcomers, who wait for
nothing yet, would overtake again and again those who have tried most often.
"""

import functools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, overload

from flowtools.core.wait import sleep
from flowtools.vizone.errors import ConflictError

P = ParamSpec("P")
T = TypeVar("T")

LONGEST = 16
"""The longest pause, as a multiple of how long an attempt took."""


@dataclass(frozen=True)
class Backoff:
    """How a change that collides is tried again.

    Attributes:
        tries: How often it is tried, the first time included. 64 writers of one asset, 8 at a
            time, need up to 12 in a simulation of them; 3 are enough for two.
        pause: Seconds that the first pause may take; longer where an attempt takes longer.
    """

    tries: int = 20
    pause: float = 0.05

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.pause < float("inf"):
            raise ValueError(f"invalid {self}: expected one try or more, and seconds")

    def call(self, function: Callable[[], T]) -> T:
        """Return what `function` returns; a ConflictError calls it again.

        Raises:
            ConflictError: The last try collided, too.
        """
        for attempt in range(1, self.tries):
            begun = time.monotonic()
            try:
                return function()
            except ConflictError:
                self.wait(attempt, time.monotonic() - begun)
        return function()

    def wait(self, attempt: int, took: float) -> None:
        """Wait after attempt number `attempt` (from 1 on), which took so many seconds."""
        longest = max(self.pause, took) * min(LONGEST, 2 ** (attempt - 1))
        sleep(random.uniform(0, longest))  # noqa: S311  no secret


@overload
def retry_on_conflict(function: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def retry_on_conflict(
    *, tries: int = ..., pause: float = ...
) -> Callable[[Callable[P, T]], Callable[P, T]]: ...


def retry_on_conflict(
    function: Callable[P, T] | None = None,
    /,
    *,
    tries: int = Backoff.tries,
    pause: float = Backoff.pause,
) -> Callable[P, T] | Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a function that reads, changes and writes: a conflict calls it again.

    It has to read afresh each time. With or without brackets:

        @retry_on_conflict
        @retry_on_conflict(tries=5, pause=1.0)

    Args:
        function: The function to decorate.
        tries: How often it is called, at most; the last ConflictError is raised.
        pause: Seconds that the first pause may take; see Backoff.

    Raises:
        ValueError: `tries` is below 1, or `pause` is not a number of seconds.
    """
    backoff = Backoff(tries, pause)

    def decorate(changing: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(changing)
        def patient(*args: P.args, **kwargs: P.kwargs) -> T:
            return backoff.call(lambda: changing(*args, **kwargs))

        return patient

    return decorate if function is None else decorate(function)
