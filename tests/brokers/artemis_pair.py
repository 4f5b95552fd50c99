"""A live and a backup Artemis that share a store: what Artemis calls shared-store HA.

The live broker holds a lock on the store's files; when it is gone the backup takes the lock,
reads the journal, and opens its own ports. A live broker that comes back takes over again
(failback). The interface is that of cluster.Cluster as far as ClusterOrdeal needs it.
"""

import contextlib
import time
from urllib.parse import quote, urlencode

from tests.brokers.activemq import Artemis
from tests.brokers.server import START_SECONDS, free_ports
from tests.brokers.wire import WireError

_PASSIVE = ("AMQ221032", "AMQ221109", "AMQ221031")
"""The line in the log of a backup that waits."""

_ACTIVE = "AMQ221010"
"""The line in the log of a backup that has taken over."""


class ArtemisPair:
    """The two brokers; see cluster.Cluster.

    Attributes:
        nodes: The live broker and the backup.
    """

    about = "Artemis, live and backup on one store"

    def __init__(self, folder):
        """Prepare in `folder`; nothing is started.

        Raises:
            BrokerMissing: Artemis is not installed.
        """
        ports = free_ports(2)
        self.nodes = []
        for name, port, other, more in (
            ("live", *ports, ()),
            ("backup", *ports[::-1], ("--backup",)),
        ):
            options = ("--name", name, "--clustered", "--shared-store", *more)
            options += ("--staticCluster", f"tcp://127.0.0.1:{other}")
            options += ("--cluster-user", "cluster", "--cluster-password", "tests-only")
            options += ("--data", str(folder / "store"))
            self.nodes.append(Artemis(folder / name, *options, core_port=port))

    def start(self):
        """Start both; return once one serves and the other waits."""
        live, backup = self.nodes
        live.start()
        backup.launch()
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

    def wait_until_whole(self, destination, tend=lambda: None):
        """Return once the live broker serves and the backup waits.

        Raises:
            TimeoutError: That takes too long.
        """
        live, backup = self.nodes
        deadline = time.monotonic() + START_SECONDS
        while not (self.leader(destination) is live and _waits(backup)):
            tend()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the pair is not whole: {backup.output()}")
            time.sleep(0.2)

    def depth(self, destination):
        """Return how many messages the queue holds, delivered or not."""
        return self.leader(destination).depth(destination)


def _waits(node):
    """Whether the last that the broker said of its role is that it is a backup."""
    said = node.output()
    return max(said.rfind(each) for each in _PASSIVE) > said.rfind(_ACTIVE)
