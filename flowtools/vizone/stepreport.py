"""What a transfer plugin tells its step: how far it is, and that it has failed.

The step is edited as it came and sent whole, so that all that is unknown in it stays.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite
from threading import RLock
from time import monotonic

from flowtools.core.described import Described
from flowtools.core.errors import FlowError, UnreachableError
from flowtools.core.log import get_log
from flowtools.vizone.atom import ENTRY_TYPE
from flowtools.vizone.client import Client
from flowtools.vizone.document import serialise
from flowtools.vizone.plugindata import TransferStep

PATIENCE = 10.0
"""Seconds that a report waits for one that another thread is sending."""

SLOW = 1.0
"""Seconds above which a report holds a transfer up: the next comes after nine times as many."""

log = get_log("flowtools.plugin")


class StepReport(Described):
    """Reports to one step, from any thread; once it has ended, nothing is reported any more.

    A report takes the time of whoever makes it, with a server that does not answer as long as
    the client tries. Of a transfer's time no more than a tenth goes there.

    Attributes:
        is_open: How it ends has not been told.
        failed: An error has been told.
    """

    FACTS = ("_step", "is_open", "failed")

    def __init__(
        self, client: Client, step: TransferStep, pause: float, *, after_error: bool = False
    ) -> None:
        """Report nothing yet.

        Args:
            client: Logged in where the step is.
            step: The step.
            pause: Seconds between two reports of progress.
            after_error: An earlier try has told an error, which is to be taken back.
        """
        self.is_open = True
        self.failed = False
        self._client = client
        self._step = step
        self._pause = pause
        self._last: int | None = None
        self._next_at = -inf
        self._waiting = (step.done or 0) if after_error else None
        self._has_complained = False
        # One that its own thread may take again: it may have been interrupted on the way out.
        self._sending = RLock()

    def progress(self, per_cent: float) -> None:
        """Report that so much is done, or remember it until a report is due.

        What is no number from 0 to 100 is taken as the nearer of the two; an infinity and
        NaN are left out with a warning, the first time. So is what cannot be sent.
        """
        if not isfinite(per_cent):
            if not self._has_complained:
                log.warning("cannot report %s %%: it is no finite number", per_cent)
            self._has_complained = True
            return
        done = min(100, max(0, int(per_cent)))
        due = monotonic() >= self._next_at
        if done == self._last:
            self._waiting = None
        elif due or done == 100 or self._last is None:
            self._report(done)
        else:
            self._waiting = done

    def end(self) -> None:
        """Report what waits, and no more."""
        if self._waiting is not None:
            self._report(self._waiting)
        self.is_open = False

    def error(self, message: str) -> None:
        """Report that the step has failed, for people to see, and no more.

        Raises:
            FlowError: It could not be sent.
        """
        with self._turn():
            if not self.is_open:
                return
            self._step.set_state("error")
            self._step.set_error(message)
            try:
                self._put()
            except FlowError:
                self.is_open = False
                raise
            # Not where something else has interrupted it: there is another chance at the end.
            self.failed, self.is_open = True, False

    def _report(self, done: int) -> None:
        self._last, self._waiting = done, None
        began = monotonic()
        try:
            with self._turn():
                if self.is_open:
                    self._step.set_state("active")
                    self._step.set_done(done)
                    self._put()
        except FlowError as error:
            log.warning("cannot report %d %%: %s", done, error)
        took = monotonic() - began
        self._next_at = began + (10 * took if took > SLOW else self._pause)

    def _put(self) -> None:
        # Without an etag: nobody but the plugin has a say in what is set here.
        self._client.request(
            "PUT",
            self._step.follow("edit", "self"),
            body=serialise(self._step.element),
            content_type=ENTRY_TYPE,
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._sending.acquire(timeout=PATIENCE):
            raise UnreachableError(f"an earlier report has not been answered in {PATIENCE:g} s")
        try:
            yield
        finally:
            self._sending.release()
