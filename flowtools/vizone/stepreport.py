"""Reports of a transfer plugin to its step: the progress, and a failure.

The step is changed in the XML that came with the plugin's data and is sent as a whole, so that its
unknown content stays. A report is a request in the thread that makes it, so it holds up the
transfer. After a report that took long, the next one waits, so that reports take at most a tenth of
the transfer's time. One thread sends at a time; once the end has been reported, nothing more is
sent, whatever thread still reports progress.
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
"""Maximum number of seconds that a report waits for another thread's report."""

SLOW = 1.0
"""Duration of a report, in seconds, above which the next one waits nine times as long."""

log = get_log("flowtools.plugin")


class StepReport(Described):
    """Reports to one step. Any thread may call any method.

    Attributes:
        is_open: Whether reports are still sent: the end has not been reported.
        failed: Whether an error has been reported.
    """

    FACTS = ("_step", "is_open", "failed")

    def __init__(
        self, client: Client, step: TransferStep, pause: float, *, after_error: bool = False
    ) -> None:
        """Prepare to report; nothing is sent yet.

        Args:
            client: Client for the server that has the step.
            step: The step.
            pause: Minimum number of seconds between two reports of progress.
            after_error: Whether an earlier try has reported an error. The next report then sets
                the state back to active.
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
        # Reentrant: TimeLimit or a signal may interrupt a thread that holds it, and that thread
        # then reports the error.
        self._sending = RLock()

    def progress(self, per_cent: float) -> None:
        """Report the progress in per cent, or remember it until the next report is due.

        A number below 0 counts as 0, one above 100 as 100. An infinity or NaN is ignored, with a
        warning the first time. A report that cannot be sent is a warning, not an error: the
        transfer matters more.
        """
        if not isfinite(per_cent):
            if not self._has_complained:
                log.warning("cannot report %s %%: not a finite number", per_cent)
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
        """Report the remembered progress, if any, and send nothing afterwards."""
        if self._waiting is not None:
            self._report(self._waiting)
        self.is_open = False

    def error(self, message: str) -> None:
        """Report that the step has failed, with a message for people, and send nothing afterwards.

        Raises:
            FlowError: The report could not be sent.
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
            # After any other exception, such as TimeLimit, the report stays open: the plugin's end
            # makes another attempt.
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
        # Without an etag, so that no conflict can happen: only the plugin sets these values.
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
