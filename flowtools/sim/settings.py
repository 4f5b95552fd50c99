"""The plan of a stand-in: what it does by itself, and how it behaves. Defaults of flow-sim.

This module imports nothing heavy: `flow-sim --help` reads the defaults from it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowtools.sim.faults import Rates
    from flowtools.sim.vocabulary import Deletions, Order


def _none() -> "Rates":
    from flowtools.sim.faults import Rates

    return Rates()


@dataclass(frozen=True)
class Plan:
    """What a stand-in does by itself, and how it behaves.

    Attributes:
        assets: Number of changes of assets in the stream.
        files: Number of files that arrive in the first import storage.
        rate: Changes per second.
        seed: Start of the random sequences: the same seed gives the same changes and faults.
        echo: Whether an update is published when metadata is written over HTTP.
        tells_action: Whether messages have an `action` header that says what happened.
        deletions: How a message marks a deletion.
        faults: Probability of each simulated fault.
        import_seconds: Seconds that an import or upload takes.
        order: Order of the asset feed.
        session: Seconds that an HTTP session lasts; None: for ever.
        connections: Maximum number of HTTP connections, and of STOMP connections, at a time.
        broker: Host and port of a broker to publish at, instead of one of its own.
        names: Further names of the host that HTTP requests may be addressed to.
    """

    assets: int = 0
    files: int = 0
    rate: float = 20.0
    seed: int = 1
    echo: bool = False
    tells_action: bool = True
    deletions: "Deletions" = "tombstone"
    faults: "Rates" = field(default_factory=_none)
    import_seconds: float = 0.4
    order: "Order" = "sorted"
    session: float | None = None
    connections: int = 1000
    broker: tuple[str, int] | None = None
    names: tuple[str, ...] = ()
