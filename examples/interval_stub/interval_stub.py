"""The least that does something every so often: a Worker to begin with.

flow-run examples/interval_stub/interval_stub.ini
"""

from flowtools.source.interval import Interval


class IntervalStub:
    """Says that it is time."""

    SOURCE = Interval

    def start(self, event):
        print(f"tick {event['number']}, {event['skipped']} skipped before")  # To stderr.
