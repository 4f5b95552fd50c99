"""The sources: one file each, every one with a `run` that writes events to an outlet."""

from typing import Protocol

from flowtools.outlet import Outlet
from flowtools.stop import Stop


class Source(Protocol):
    """Something that events come from."""

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until there are no more or `stop` is set.

        Returns with nothing left in the outlet's buffer.

        Raises:
            FlowError: The source cannot go on; its class says which exit status that is.
            ReaderGone: Nobody reads any more.
        """
