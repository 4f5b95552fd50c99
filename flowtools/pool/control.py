"""Whether a pool goes on: its threads and its watchdog ask, and whoever must, ends it."""

from flowtools.core.errors import ReaderGone
from flowtools.core.wait import Stop, Wake


class Control:
    """The way in which the parts of a pool tell each other to wake up, and to end.

    Made before the parts, and given to each. Safe from any thread.

    Attributes:
        stopping: No further event is taken.
        ending: The same, to wait for.
        cancels: Attempts that run are to be cancelled, too.
        drains: A signal has asked for the end: what was taken has its time to run.
        error: What ended the pool early; None: nothing has.
        leader: Ends the wait of the thread that reads.
        watchdog: Ends the watchdog's wait.
        dozing: The watchdog sleeps for good, and is to be told when an attempt starts.
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
        """Take no further event; `cancel` the attempts that run, too."""
        self.cancels = self.cancels or cancel
        self.stopping = True
        self.ending.set()
        self.leader.ring()
        self.watchdog.ring()

    def fail(self, error: Exception, *, cancel: bool | None = None) -> None:
        """Take no further event, and end with `error` (the first one counts).

        `cancel` the attempts that run, too; None: if nobody reads what they would write.
        """
        if self.error is None:
            self.error = error
        self.end(cancel=isinstance(error, ReaderGone) if cancel is None else cancel)

    def close(self) -> None:
        """Release the descriptors; no thread of the pool runs any more."""
        for each in (self.ending, self.leader, self.watchdog):
            each.close()

    def note_start(self) -> None:
        """Wake a watchdog that sleeps for good: an attempt is about to start."""
        if self.dozing:
            self.dozing = False
            self.watchdog.ring()
