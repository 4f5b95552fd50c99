"""A Worker whose server is down until the file UP exists; for tests that start flow-work."""

import os
from pathlib import Path

from flowtools.source.interval import Interval
from flowtools.worker import Reject, Unavailable
from tests.sources import note


class Refused(OSError):
    """What a library that knows nothing of flowtools raises."""


def call(event):
    """Call the server, which notes each call."""
    note(event["number"] if isinstance(event.data, dict) else event.data)
    if not Path(os.environ["UP"]).exists():
        raise Refused("connection refused")


class Server:
    """Says itself that its server is down."""

    def start(self, event):
        try:
            call(event)
        except Refused as error:
            raise Unavailable(str(error), after=0.05) from error
        if event.data == "bad":
            raise Reject("bad")


class Plain:
    """Raises what the library raises."""

    def start(self, event):
        call(event)


class Ticks(Server):
    SOURCE = Interval
