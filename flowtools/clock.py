"""Time as the sources see it, behind an object that tests replace."""

import select
import time

from flowtools.errors import ReaderGone
from flowtools.source import Outlet
from flowtools.stop import Stop

LONGEST_WAIT = 3600.0
"""Seconds that one wait may take; poll(2) itself knows no more than 24 days."""


class Clock:
    """The machine's wall clock and its monotonic one, and a wait that ends early."""

    def time(self) -> float:
        """Return the wall clock: seconds since the epoch. It may jump either way."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; they never go back."""
        return time.monotonic()

    def wait(self, seconds: float, stop: Stop, outlet: Outlet) -> bool:
        """Wait up to `seconds`, at most LONGEST_WAIT; return True once `stop` is set.

        Raises:
            ReaderGone: The reader of `outlet` has gone.
        """
        poller = select.poll()
        poller.register(stop.fileno(), select.POLLIN)
        poller.register(outlet.fileno(), 0)  # POLLERR comes unasked.
        ready = dict(poller.poll(min(max(0.0, seconds), LONGEST_WAIT) * 1000))
        if ready.get(outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone
        return stop.fileno() in ready
