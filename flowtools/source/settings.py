"""Settings of the sources, with their defaults; core/settings.py says what such a class is for."""

from dataclasses import dataclass
from typing import Literal

from flowtools.core.settings import Ending, Reading


@dataclass(frozen=True, kw_only=True)
class Taking(Ending):
    """How a source takes events and acknowledges them.

    Attributes:
        ack: When an event is acknowledged. "pipe": once its line is written; "worker": once the
            reader acknowledges it.
        prefetch: Maximum number of unacknowledged messages or events. It limits what is held in
            memory, and what is delivered twice after a fault.
        max_deliveries: Number of failed deliveries after which a message goes to the dead letters;
            0: no limit.
    """

    ack: Literal["pipe", "worker"] = "pipe"
    prefetch: int = 256
    max_deliveries: int = 10


@dataclass(frozen=True, kw_only=True)
class Watching:
    """How flow-watch looks at a folder.

    Attributes:
        settle: Seconds that a file must be unchanged before it is reported.
        remote_settle: Seconds that a file on a network mount must be unchanged. More than `settle`,
            because nobody can see whether another machine still writes it.
        remote_poll: Seconds between two looks at a network mount.
        stalled: Seconds after which a file that does not become whole is reported.
    """

    settle: float = 2.0
    remote_settle: float = 20.0
    remote_poll: float = 10.0
    stalled: float = 600.0


@dataclass(frozen=True, kw_only=True)
class Importing:
    """How flow-listen-files looks at an import storage.

    Attributes:
        settle: Seconds that the size of a file must be unchanged before it is reported.
    """

    settle: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Standard(Reading):
    """How flow-stdin reads standard input.

    Attributes:
        max_size: Maximum size of a document, in bytes.
    """

    max_size: int = 64 * 1024 * 1024
