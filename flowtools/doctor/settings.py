"""How flow-doctor examines, with its defaults."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Examining:
    """How a broker is examined.

    Attributes:
        heart_beat: Seconds after which we send a heart-beat, and expect one. Short, because
            somebody waits for the answer.
    """

    heart_beat: tuple[float, float] = (1.0, 1.0)
