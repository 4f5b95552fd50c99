"""Changes that collide: read, change, write, and start again if somebody else was faster.

The first writer wins, and the others get a conflict and read again. Each of them waits for a random
part of a pause that grows with each try, so that they do not come back together. The pause grows
with the duration of a try, so that writers need no more tries against a slow server than against a
quick one. It stops growing at LONGEST tries: otherwise new writers, who do not wait yet, would keep
overtaking those who have tried most often.
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
"""The longest pause, as a multiple of the duration of a try."""


@dataclass(frozen=True)
class Backoff:
    """How a change that collides is tried again.

    Attributes:
        tries: Maximum number of tries, including the first. In a simulation 64 writers of one
            asset, 8 at a time, need up to 12; two writers need 3.
        pause: Maximum length of the first pause, in seconds, if a try does not take longer.
    """

    tries: int = 20
    pause: float = 0.05

    def __post_init__(self) -> None:
        if self.tries < 1 or not 0 <= self.pause < float("inf"):
            raise ValueError(f"invalid {self}: expected one try or more, and seconds")

    def call(self, function: Callable[[], T]) -> T:
        """Call `function` until it raises no ConflictError; return its result.

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
        """Wait after try number `attempt`, counted from 1, which took `took` seconds."""
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
    """Decorate a function that reads, changes and writes, so that a conflict calls it again.

    The function must read inside, so that each call sees the newest state. The decorator is written
    with or without arguments:

        @retry_on_conflict
        @retry_on_conflict(tries=5, pause=1.0)

    Args:
        function: The function to decorate.
        tries: Maximum number of calls; the ConflictError of the last one is raised.
        pause: Maximum length of the first pause, in seconds; see Backoff.

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
