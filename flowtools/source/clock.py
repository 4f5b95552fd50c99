"""Time as the sources see it, behind an object that tests replace."""

import time

from flowtools.core.errors import ReaderGone
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, wait


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
        ready = wait(stop, gone=outlet, seconds=seconds)
        if outlet.fileno() in ready:
            raise ReaderGone
        return stop.fileno() in ready
