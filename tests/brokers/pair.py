"""Two brokers on one store: one serves, and the other waits for the lock on its files.

The interface is that of cluster.Cluster as far as ClusterOrdeal needs it. A subclass makes the two
`nodes` and knows when the pair is whole.
"""

import contextlib
import time
from urllib.parse import quote, urlencode

from tests.brokers.activemq import ActiveMQ6
from tests.brokers.server import START_SECONDS
from tests.brokers.wire import WireError


class Pair:
    """The two brokers; see cluster.Cluster.

    Attributes:
        nodes: The broker that is started first, and the other.
        about: A short description of the pair.
    """

    about = ""

    def start(self):
        """Start both; return once one serves and the other waits."""
        first, other = self.nodes
        first.start()
        other.launch()
        self.wait_until_whole("")
        return self

    def close(self):
        """End both."""
        for node in self.nodes:
            node.close()

    def url(self, destination, *, first=0, **query):
        """Return the URL with both hosts, beginning with that of node `first` (modulo two)."""
        hosts = [f"127.0.0.1:{node.port}" for node in self.nodes]
        hosts = hosts[first % 2 :] + hosts[: first % 2]
        return f"stomp://{','.join(hosts)}/?" + urlencode(
            {"destination": destination} | query, quote_via=quote, safe="/"
        )

    def leader(self, destination):
        """Return the broker that serves; waits until one does."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for node in self.nodes:
                with contextlib.suppress(OSError, WireError):
                    node.connect(timeout=5).close()
                    return node
            time.sleep(0.1)
        raise TimeoutError("neither of the two serves")

    def hurt(self, node, how):
        """Kill a broker: a frozen one keeps the lock, so nobody takes over."""
        assert how == "killed"
        node.kill()

    def heal(self):
        """Start what was killed."""
        for node in self.nodes:
            if not node.running:
                node.launch()

    def is_whole(self, destination):
        """Whether one serves and the other waits."""
        raise NotImplementedError

    def wait_until_whole(self, destination, tend=lambda: None):
        """Return once one serves and the other waits.

        Raises:
            TimeoutError: That takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while not self.is_whole(destination):
            tend()
            if time.monotonic() > deadline:
                said = "\n".join(node.output() for node in self.nodes)
                raise TimeoutError(f"the pair is not whole: {said}")
            time.sleep(0.2)

    def depth(self, destination):
        """Return how many messages the queue holds, delivered or not."""
        return self.leader(destination).depth(destination)


class ActiveMQPair(Pair):
    """Two ActiveMQ Classic: whoever holds the lock serves, until it is gone."""

    about = "ActiveMQ 6, two on one store"

    def __init__(self, folder, kind=ActiveMQ6):
        """Prepare two brokers of `kind` in `folder`; nothing is started.

        Raises:
            BrokerMissing: ActiveMQ is not installed.
        """
        self.nodes = [kind(folder / name, store=folder / "store") for name in ("a", "b")]

    def is_whole(self, destination):
        """Whether one serves and the other runs: it can only wait for the lock."""
        serving = self.leader(destination)
        return all(node.running for node in self.nodes if node is not serving)
