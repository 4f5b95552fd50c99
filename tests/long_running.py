"""A Source and a Worker that have one event, and then wait."""

import time

from flowtools.source.interval import Interval


class Once:
    def run(self, emit):
        emit("one")
        time.sleep(1e6)


class Ticks:
    SOURCE = Interval(3600)

    def start(self, event):
        return event.subject
