"""What Viz One may answer that a caller can act on, beside the errors of every command."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flowtools.core.errors import ProtocolError

P = ParamSpec("P")
T = TypeVar("T")

TRIES = 3
"""How often a change is applied before a conflict is an error."""


class NotFoundError(ProtocolError):
    """There is no such resource, or no longer: 404 or 410."""


class ConflictError(ProtocolError):
    """Someone else has changed the resource since it was read: 409, 412 or 428."""


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
