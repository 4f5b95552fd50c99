"""A Worker whose server is down until the file UP exists; for tests that start flow-work."""

import os
from pathlib import Path

from flowtools.source.interval import Interval
from flowtools.worker import Reject, Unavailable
from tests.sources import note


class Refused(OSError):
    """An exception of a library that does not know flowtools."""


def call(event):
    """Call the server; each call is noted."""
    note(event["number"] if isinstance(event.data, dict) else event.data)
    if not Path(os.environ["UP"]).exists():
        raise Refused("connection refused")


class Server:
    """A Worker that reports by itself that its server is down."""

    def start(self, event):
        try:
            call(event)
        except Refused as error:
            raise Unavailable(str(error), after=0.05) from error
        if event.data == "bad":
            raise Reject("bad")


class Plain:
    """A Worker that lets the library's exception through."""

    def start(self, event):
        call(event)


class Ticks(Server):
    SOURCE = Interval
