"""The settings of flow-doctor, with their defaults."""

from dataclasses import dataclass

from flowtools.core.settings import Expiring


@dataclass(frozen=True, kw_only=True)
class Examining(Expiring):
    """How a server is examined.

    Attributes:
        heart_beat: Seconds between the heart-beats that we send, and those that we ask for. They
            are short, because the check waits for a heart-beat, and a person for the check.
        strict: Whether a warning makes the exit status 1.
    """

    heart_beat: tuple[float, float] = (1.0, 1.0)
    strict: bool = False
