"""The shared state that tells the threads and the watchdog of a pool to wake up, and to end.

Its flags are read in the inner loop, where a lock would cost every event. They only ever
change from False to True (except `dozing`). Each change is followed by a ring of the wake-ups, so
that a waiting thread sees it.
"""

from flowtools.core.errors import ReaderGone
from flowtools.core.wait import Stop, Wake


class Control:
    """Lets the parts of a pool tell each other to wake up, and to end.

    It is made before the parts and given to each. Any thread may call any method.

    Attributes:
        stopping: Whether to take no further event.
        ending: A Stop that is set with `stopping`, to wait for.
        cancels: Whether to cancel running attempts, too.
        drains: Whether a signal has asked for the end, so that events already taken may still run.
        error: The error that ended the pool early; None if there was none.
        leader: Wakes the thread that reads.
        watchdog: Wakes the watchdog.
        dozing: Whether the watchdog sleeps without a time limit, so that it has to be woken when
            an attempt starts.
    """

    def __init__(self) -> None:
        self.stopping = False
        self.ending = Stop()
        self.cancels = self.drains = False
        self.error: Exception | None = None
        self.leader = Wake()
        self.watchdog = Wake()
        self.dozing = False

    def end(self, *, cancel: bool = False) -> None:
        """Make the pool take no further event; with `cancel`, cancel running attempts, too."""
        # The flags before the rings: a thread that is woken must find them changed.
        self.cancels = self.cancels or cancel
        self.stopping = True
        self.ending.set()
        self.leader.ring()
        self.watchdog.ring()

    def fail(self, error: Exception, *, cancel: bool | None = None) -> None:
        """Make the pool take no further event, and end with `error` (the first one counts).

        With `cancel`, running attempts are cancelled, too; None: only if the reader has gone.
        """
        if self.error is None:  # Later errors are mostly consequences of the first.
            self.error = error
        self.end(cancel=isinstance(error, ReaderGone) if cancel is None else cancel)

    def close(self) -> None:
        """Release the descriptors; call this when no thread of the pool runs any more."""
        for each in (self.ending, self.leader, self.watchdog):
            each.close()

    def note_start(self) -> None:
        """Wake a watchdog that sleeps without a time limit: an attempt is about to start."""
        if self.dozing:
            self.dozing = False
            self.watchdog.ring()
