"""What a stand-in Viz One is to do, with the defaults of flow-sim."""

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
    """What the stand-in is to do by itself, and how.

    Attributes:
        assets: How many changes of assets the stream has.
        files: How many files arrive in the first import storage.
        rate: How many of them a second.
        seed: What the stream starts from: the same seed, the same sequence.
        echo: Whether metadata written over HTTP is told, too.
        tells_action: Whether a message's `action` header says what happened.
        deletions: How a deletion is marked.
        faults: How likely which fault is.
        import_seconds: How long an import or upload takes.
        order: How the asset feed is ordered.
        session: Seconds that a session of HTTP lasts; None: for ever.
        connections: How many there may be at a time, of HTTP and of STOMP each.
        broker: Host and port of a broker that runs elsewhere, in place of its own.
        names: What else the HTTP server may be called, in a Host header.
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
