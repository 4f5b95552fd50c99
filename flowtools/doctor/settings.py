"""How flow-doctor examines, with its defaults."""

from dataclasses import dataclass

from flowtools.process.certificates import SOON


@dataclass(frozen=True, kw_only=True)
class Examining:
    """How a server is examined.

    Attributes:
        heart_beat: Seconds after which we send a heart-beat, and expect one. Short, because
            somebody waits for the answer.
        expiry_days: Days before its end at which a certificate is warned of.
        strict: Whether a warning makes the exit status 1.
    """

    heart_beat: tuple[float, float] = (1.0, 1.0)
    expiry_days: int = SOON
    strict: bool = False
