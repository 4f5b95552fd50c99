"""How long to wait for acknowledgements after the reader of a pipe has gone.

A line may have travelled on before the reader ended, and the duty to acknowledge with it. In
`source | flow-jq | flow-work`, Control-C reaches all three: flow-jq ends at once, because it has
passed on what it read, while flow-work finishes the event that it works at. So a source does not
end with its reader. It waits as long as a process is connected to it that may still settle an
event, but not longer than it would wait after a stop.

Its own pipe has no reader, so what comes behind sees the end of its input and disconnects by
itself. The last disconnection therefore ends the wait.
"""

from time import monotonic
from typing import Protocol


class Attended(Protocol):
    """The part of an AckInlet that tells whether acknowledgements can still come."""

    @property
    def is_attended(self) -> bool:
        """Whether a process is connected, or may be about to connect."""

    def await_last(self) -> None:
        """From now on, count acknowledgements as lost only when the last process has gone."""


class Parting:
    """The wait for the last acknowledgements, which begins when it is made."""

    LOOK_EVERY = 0.05
    """Seconds between two looks while waiting."""

    def __init__(self, inlet: Attended, seconds: float) -> None:
        """Wait for those who are connected to `inlet`, for up to `seconds`."""
        inlet.await_last()
        self._inlet = inlet
        self._ends_at = monotonic() + seconds

    @property
    def is_late(self) -> bool:
        """Whether the time is over."""
        return monotonic() >= self._ends_at

    @property
    def is_over(self) -> bool:
        """Whether the time is over, or no acknowledgement can come any more."""
        return self.is_late or not self._inlet.is_attended
