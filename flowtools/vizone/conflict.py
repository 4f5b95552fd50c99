"""Changes that collide with somebody else's: read again, apply again."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flowtools.vizone.errors import ConflictError

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 3
"""How often a change is applied before a conflict is an error."""


def retry_on_conflict(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function that reads, changes and writes: a conflict calls it again.

    It is called up to TRIES times, so it has to read afresh each time.
    """

    @functools.wraps(function)
    def patient(*args: P.args, **kwargs: P.kwargs) -> T:
        for attempt in range(1, TRIES):
            try:
                return function(*args, **kwargs)
            except ConflictError:
                # Those who collided come back apart.
                time.sleep(random.uniform(0, 0.05 * attempt))  # noqa: S311  no secret
        return function(*args, **kwargs)

    return patient
