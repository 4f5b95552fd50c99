"""The sources: one file each, every one with a `run` that writes events to an outlet.

Of any broker: `stomp`, and `browse`, which only looks. Of Viz One: `asset` and `location`; what
those two share is in `vizone`.
Of this machine: `interval`, `local` (standard input, which is an `input`) and `watch`. A user's
own: `custom`.

A `stomp` source is `serving` one session at a time; a `delivery` writes its events into a `pipe`,
which may be full, and settles what each of them owes.
`interval` ticks by a `schedule` or a `cron` expression, at a `daytime`, on a `clock`. What `watch`
is made of is in `folder`. `loading` says what a user's Source may be; a `gate` stands between it
and the outlet, and `telling` calls its `done`; its `cursor` remembers up to where all is done, in a
`wholefile`. `settings` has the defaults.
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
