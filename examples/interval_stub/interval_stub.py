"""A minimal Worker that runs at regular times, as a starting point for your own.

flow-run examples/interval_stub/interval_stub.ini
"""

from flowtools.source.interval import Interval


class IntervalStub:
    """Prints the number of each tick."""

    SOURCE = Interval

    def start(self, event):
        print(f"tick {event['number']}, {event['skipped']} skipped before")  # print goes to stderr.
