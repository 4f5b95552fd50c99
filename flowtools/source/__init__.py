"""The sources: one file each, every one with a `run` that writes events to an outlet.

Of any broker: `stomp`. Of Viz One: `asset` (which assets: `details`) and `location`. Of this
machine: `interval`, `local` (standard input) and `watch`. A user's own: `custom`.

What the two of Viz One share: `monitor` is their `run`, by way of `stomp`; `listening` are
their options and `entries` what their events say; `lookup` and `settling` keep an event while
something is asked or awaited. Over an absence, `progress` knows how far it has come, `state`
keeps that in a file, and `replay` reads the rest from what a feed has `shown`, by a `spool`.

`interval` ticks by a `schedule`, at a `daytime`, on a `clock`. `watch` has a `lookout` decide
when to look into its `folder`, which `notices` of the system say, too. `loading` says what a
user's Source may be; a `gate` stands between it and the outlet.
"""

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
