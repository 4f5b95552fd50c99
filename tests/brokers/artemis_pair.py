"""A live and a backup Artemis that share a store: what Artemis calls shared-store HA.

The live broker holds a lock on the store's files; when it is gone the backup takes the lock,
reads the journal, and opens its own ports. A live broker that comes back takes over again
(failback).
"""

from tests.brokers.activemq import Artemis
from tests.brokers.pair import Pair
from tests.brokers.server import free_ports

_PASSIVE = ("AMQ221032", "AMQ221109", "AMQ221031")
"""The line in the log of a backup that waits."""

_ACTIVE = "AMQ221010"
"""The line in the log of a backup that has taken over."""


class ArtemisPair(Pair):
    """The two brokers; see pair.Pair.

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

    def is_whole(self, destination):
        """Whether the live broker serves, and the backup waits."""
        live, backup = self.nodes
        return self.leader(destination) is live and _waits(backup)


def _waits(node):
    """Whether the last that the broker said of its role is that it is a backup."""
    said = node.output()
    return max(said.rfind(each) for each in _PASSIVE) > said.rfind(_ACTIVE)
