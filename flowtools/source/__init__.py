"""The sources: one file each, every one with a `run` that writes events to an outlet.

Of any broker: `stomp`. Of Viz One: `asset` and `location`; what those two share is in `vizone`.
Of this machine: `interval`, `local` (standard input) and `watch`. A user's own: `custom`.

`interval` ticks by a `schedule`, at a `daytime`, on a `clock`. `watch` has a `lookout` decide
when to look into its `folder`, which `notices` of the system say, too. `loading` says what a
user's Source may be; a `gate` stands between it and the outlet. `settings` has the defaults.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtools.core.outlet import Outlet
    from flowtools.core.wait import Stop


class Source(Protocol):
    """Something that events come from."""

    def run(self, outlet: "Outlet", stop: "Stop") -> None:
        """Write events to `outlet` until there are no more or `stop` is set.

        Returns with nothing left in the outlet's buffer.

        Raises:
            FlowError: The source cannot go on; its class says which exit status that is.
            ReaderGone: Nobody reads any more.
        """
