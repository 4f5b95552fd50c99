"""How flow-doctor examines, with its defaults."""

from dataclasses import dataclass

from flowtools.core.settings import Expiring


@dataclass(frozen=True, kw_only=True)
class Examining(Expiring):
    """How a server is examined.

    Attributes:
        heart_beat: Seconds after which we send a heart-beat, and expect one. Short, because
            somebody waits for the answer.
        strict: Whether a warning makes the exit status 1.
    """

    heart_beat: tuple[float, float] = (1.0, 1.0)
    strict: bool = False
