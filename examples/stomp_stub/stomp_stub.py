"""A minimal Worker for the messages of a STOMP destination, as a starting point for your own.

flow-run examples/stomp_stub/stomp_stub.ini
"""

from flowtools.source.stomp import GenericStompListener
from flowtools.vizone import Locked


class StompStub:
    """Returns the body of each message; messages with the same identity run one after the other."""

    SOURCE = GenericStompListener

    def start(self, event):
        identity = event["headers"].get("identity") or event.id
        with Locked(identity):
            return {"identity": identity, "body": event["body"]}  # Your code goes here.
