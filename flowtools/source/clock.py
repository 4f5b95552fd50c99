"""Time as the sources see it, behind an object that tests replace."""

import select
import time

from flowtools.core.errors import ReaderGone
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, poll_time


class Clock:
    """The machine's wall clock and its monotonic one, and a wait that ends early."""

    def time(self) -> float:
        """Return the wall clock: seconds since the epoch. It may jump either way."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds from an arbitrary start; they never go back."""
        return time.monotonic()

    def wait(self, seconds: float, stop: Stop, outlet: Outlet) -> bool:
        """Wait up to `seconds`, at most 24 days; return True once `stop` is set.

        Raises:
            ReaderGone: The reader of `outlet` has gone.
        """
        poller = select.poll()
        poller.register(stop.fileno(), select.POLLIN)
        poller.register(outlet.fileno(), 0)  # POLLERR comes unasked.
        ready = dict(poller.poll(poll_time(seconds)))
        if ready.get(outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone
        return stop.fileno() in ready
