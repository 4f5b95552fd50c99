"""A queue of flow-sim's broker in the test process, and its content."""

import json

from flowtools.sim.broker import Broker
from flowtools.sim.people import People

LOGIN = {"FLOW_USER": "guest", "FLOW_PASSWORD": "pw"}
"""The environment with the login for a command."""


class Queue:
    """A queue of a broker of its own.

    Attributes:
        url: Where a command finds it.
    """

    def __init__(self, name="/queue/jobs.failed"):
        self.name = name
        self.broker = Broker("127.0.0.1", 0, People("pw"))
        self.broker.start()
        self.url = self.at(name)

    def at(self, destination):
        """The URL of another destination of the same broker."""
        return f"stomp://127.0.0.1:{self.broker.port}/?destination={destination}"

    def put(self, body, destination=None, **headers):
        """Send a message to it."""
        named = {key.replace("_", "-"): text for key, text in headers.items()}
        self.broker.publish(destination or self.name, named, body)

    def waiting(self, destination=None):
        """The bodies of the messages that no consumer has, in order."""
        held = self.broker._delivery._queues.get(destination or self.name, ())
        return [message.body.decode() for message in held]

    def fail(self, number, error="LookupError: asset 4711 not found", at=0, **headers):
        """Send a dead letter, as a listener writes it."""
        said = {
            "content_type": "application/json",
            "flow_error": error,
            "flow_attempts": "3",
            "flow_failed_at": f"2023-11-14T22:{at:02}:20Z",
        }
        self.put(json.dumps({"n": number}).encode(), **said, **headers)

    def close(self):
        """End the broker."""
        self.broker.close()
