"""The Worker: the contract between the pool and a user's class, and its loading.

A Worker is any class with a `start(event)`; no base class is needed. One instance serves
all threads. Optional: `configure(config)`, once, before the first event, and `clean_up()`,
once, after the last.
"""

from configparser import ConfigParser
from datetime import timedelta
from math import isfinite
from typing import Any, Protocol

from flowtools.core.errors import ConfigurationError
from flowtools.core.event import Event
from flowtools.worker import needs
from flowtools.worker.loading import load_class
from flowtools.worker.needs import Equipment


class Worker(Protocol):
    """What the pool calls."""

    def start(self, event: Event) -> Any:
        """Do the work for one event, in a thread of the pool.

        What it returns goes to stdout as lines: nothing for None, one for an Event or any
        other JSON value, one for each item of a generator. An exception is a failure.
        """


class Retry(Exception):
    """Raised in `start`: this attempt is void, try the event again."""

    after: float
    """Seconds to wait, at least; 0.0: as long as the pool would by itself."""

    def __init__(
        self,
        reason: str = "the Worker asks for another try",
        *,
        after: float | str | timedelta = 0.0,
    ) -> None:
        """Ask for another attempt no earlier than `after` from now.

        Args:
            reason: Why; one line of text.
            after: Seconds as a number, or as text such as the header Retry-After holds, or a
                timedelta; what lies in the past counts as 0.

        Raises:
            ValueError: `after` is something else, or is not finite.
        """
        super().__init__(reason)
        self.after = seconds(after)


class Reject(Exception):
    """Raised in `start`: the event is bad, and no further attempt will help."""


class TimeLimit(BaseException):
    """Raised in a Worker's thread when the time of its attempt is up, or the pool must end.

    Not an Exception, so that a Worker's `except Exception` does not swallow it. It comes
    between two bytecodes, wherever the Worker is; `finally` and `with` blocks run.
    """


def seconds(after: object) -> float:
    """Return the seconds that a Retry asks for, 0.0 or more.

    Raises:
        ValueError: `after` is not a finite number, numeric text or a timedelta.
    """
    value = after.total_seconds() if isinstance(after, timedelta) else after
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found):
        raise ValueError(
            f"invalid Retry(after={after!r}): expected seconds as a number or as text, or a"
            " timedelta"
        )
    return max(0.0, found)


def load(name: str) -> type:
    """Return the class that `name` ("package.module:Class") stands for.

    Raises:
        ConfigurationError: As `load_class`, or the class has no `start`.
    """
    found = load_class(name, "Worker")
    if not callable(getattr(found, "start", None)):
        raise ConfigurationError(f"cannot load Worker '{name}': it is no class with a 'start'")
    return found


def make(name: str, config: ConfigParser, equipment: Equipment | None = None) -> Worker:
    """Load the class `name`, make its one instance, give it what it NEEDS, `configure` it.

    Raises:
        ConfigurationError: As `load` and `equip`, or making or configuring it raised.
    """
    worker: Worker = needs.make("Worker", load(name), name, config, equipment=equipment)
    return worker
