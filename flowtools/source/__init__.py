"""The sources: one module each, every one with a `run` that writes events to an outlet.

For any broker: `stomp`, and `browse`, which reads a queue without consuming it. For Viz One:
`asset` and `location`, whose common parts are in `vizone`. For this machine: `interval`, `local`
(standard input, read by `input`) and `watch`. For a user's own Source: `custom`.

A `stomp` source runs one session after another (`serving`), and `current` passes acknowledgements
on to the present one. A `delivery` writes the events of a session into a `pipe`, which may be full,
and settles their messages. `ending` waits for what is in flight at the end, and `again` says what
becomes of the rest. `interval` asks a `schedule` when the next tick is due; `cron` reads its
expressions, `daytime` its windows of the day, and a `clock` tells the time. The parts of `watch`
are in `folder`. `loading` says what a user's Source may be, and `onstdout` runs one as a command. A
`gate` makes events of its values, `telling` calls its `done`, and a `cursor` saves the position
before which everything is done in a `wholefile`. What is written again after a loss of
acknowledgements belongs to new `epochs`. `settings` has the defaults.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flowtools.core.outlet import Outlet
    from flowtools.core.wait import Stop


class Source(Protocol):
    """Anything that produces events."""

    def run(self, outlet: "Outlet", stop: "Stop") -> None:
        """Write events to `outlet` until there are no more or `stop` is set.

        The outlet's buffer is empty on return.

        Raises:
            FlowError: The source cannot go on; the class of the error determines the exit status.
            ReaderGone: Nobody reads any more.
        """
