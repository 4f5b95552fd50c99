"""The least that listens to a STOMP destination: a Worker to begin with.

flow-run examples/stomp_stub/stomp_stub.ini
"""

from flowtools.source.stomp import GenericStompListener
from flowtools.vizone import Locked


class StompStub:
    """Gives back what each message is about; messages about the same wait for one another."""

    SOURCE = GenericStompListener

    def start(self, event):
        identity = event["headers"].get("identity") or event.id
        with Locked(identity):
            return {"identity": identity, "body": event["body"]}  # Do something with it here.
