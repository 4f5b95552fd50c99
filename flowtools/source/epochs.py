"""The epochs of a source that writes its events in flight again after a loss of acknowledgements.

Only this process can write such events again: a value that a user's Source gave, or a file in a
folder. No broker has them. So when the process that owed the acknowledgements has died, a new epoch
begins and the events are written once more. Lines of earlier epochs may still be in the pipe, in
front of their copies, and are then done first. So acknowledgements of the latest epochs all count.
"""

from collections import deque

from flowtools.ack.receiver import AckInlet, new_epoch

LATEST = 100
"""Number of latest epochs whose acknowledgements count."""


class Epochs:
    """The latest epochs of a source. The caller makes sure that one thread at a time uses it."""

    def __init__(self, inlet: AckInlet) -> None:
        """Begin the first epoch; `inlet` receives the acknowledgements."""
        self._inlet = inlet
        self._latest: deque[str] = deque(maxlen=LATEST)
        self._prefix = ""
        self.begin()

    def begin(self) -> None:
        """Begin a new epoch, to which all `ackto`s belong from now on."""
        epoch = new_epoch()
        self._latest.append(epoch)
        self._prefix = self._inlet.ackto(epoch)

    def ackto(self, number: int) -> str:
        """Return where to acknowledge the event with this number, in the present epoch."""
        return f"{self._prefix}{number}"

    def __contains__(self, epoch: object) -> bool:
        return epoch in self._latest
