"""Replaying failed events: they are written again, and removed from the store once they are done.

A replay is a source. Each event gets an `ackto`, so that the reader of the pipe (flow-work,
flow-send, flow-ack) acknowledges or rejects it. Acknowledged events are removed from their store
(store.py), from time to time and at the end. Events that were rejected or not settled stay. If a
replay is killed, some events that are done may not have been removed: they are replayed again, and
none is lost.

The main thread writes events and changes the store. The inlet's thread only records
acknowledgements, under a lock, and wakes the main thread: removing events takes time, and the
sender of the acknowledgement must not wait for it.
"""

import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckInlet, AckSocket, new_epoch
from flowtools.ack.records import Ack
from flowtools.core.errors import EventsFailed, ReaderGone
from flowtools.core.event import Event
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.wait import Stop, Wake, wait
from flowtools.failed.selection import Selection
from flowtools.failed.store import Failed, Store

HINT_AFTER = 10.0
"""Seconds without any acknowledgement after which a warning names the usual cause."""

_log = get_log("flowtools.failed")


class Replay:
    """A source that writes failed events again and removes those that are done from the store."""

    def __init__(
        self,
        store: Store,
        selection: Selection,
        *,
        prefetch: int,
        drain: float,
        inlet: Callable[[], AckInlet] = AckSocket,
    ) -> None:
        """Prepare to replay events of `store`.

        Args:
            store: The store that keeps the events.
            selection: The events to replay.
            prefetch: Maximum number of events in flight.
            drain: Seconds to wait for outstanding acknowledgements after a stop.
            inlet: Makes the receiver of acknowledgements.
        """
        self._store = store
        self._selection = selection
        self._prefetch = prefetch
        self._drain = drain
        self._make_inlet = inlet
        self._epoch = new_epoch()
        self._outstanding: dict[int, bytes] = {}
        self._done: Counter[bytes] = Counter()
        self._lock = Lock()
        self._settled = Wake()
        self._is_lost = self._has_written_all = False
        self._removed = self._rejected = self._written = self._skipped = self._missing = 0
        self._taken_out_at = self._waiting_since = time.monotonic()
        self._failed: Failed

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write the events, wait until they are settled, and remove those that are done.

        Raises:
            EventsFailed: Some events were rejected, or not settled; they stay in the store.
            ReaderGone: The reader of the pipe has gone; events done by then have been removed.
            FlowError: The events cannot be read or removed.
        """
        with self._store.opened(stop, most=self._selection.most) as failed:
            if failed is not None:
                self._replay(failed, outlet, stop)

    def _replay(self, failed: Failed, outlet: Outlet, stop: Stop) -> None:
        self._failed = failed
        self._waiting_since = time.monotonic()
        _log.debug("replaying '%s', at most %d events in flight", failed.name, self._prefetch)
        inlet = self._make_inlet()
        try:
            inlet.start(
                self._settle,
                lost=self._lose,
                held=self._held,
                in_flight=lambda: self._outstanding,
            )
            is_written = False
            try:
                self._write_all(inlet.ackto(self._epoch), outlet, stop)
                is_written = True
                self._wait_until_settled(inlet, outlet, stop)
            except ReaderGone:
                self._settle_last(inlet)
                if self._outstanding or not is_written:
                    raise
        finally:
            # In this order: closing the inlet joins its thread, so no acknowledgement comes later.
            inlet.close()
            self._take_out()
            self._settled.close()
        self._report()

    def _write_all(self, ackto: str, outlet: Outlet, stop: Stop) -> None:
        for record in self._selection.select(self._failed.records()):
            if record.is_not_an_event:
                self._skipped += 1
                continue
            while len(self._outstanding) >= self._prefetch:
                self._wait_for_room(outlet, stop)
                if stop.is_set() or self._is_lost:
                    return
            self._written += 1
            # Before the event is written: its acknowledgement may come before `emit` returns.
            with self._lock:
                self._outstanding[self._written] = self._failed.key_of(record)
            outlet.emit(Event.of(record.attributes | {"ackto": f"{ackto}{self._written}"}))
            if stop.is_set() or self._is_lost:
                return

    def _wait_for_room(self, outlet: Outlet, stop: Stop) -> None:
        # The reader cannot settle an event that is still in our buffer.
        outlet.flush()
        others = self._failed.descriptors()
        ready = wait(self._settled, stop, *others, gone=outlet, seconds=HINT_AFTER)
        if outlet.fileno() in ready:
            raise ReaderGone
        # Cleared before the counts are read, so that an acknowledgement in between wakes again.
        self._settled.clear()
        self._failed.tend()
        now = time.monotonic()
        is_any_settled = self._done or self._rejected or self._removed
        if not is_any_settled and now - self._waiting_since >= HINT_AFTER:
            self._waiting_since = now
            _log.warning(
                "no event has been acknowledged yet: the reader of this pipe must do that, as"
                " flow-work, flow-send and flow-ack do; to look at events without removing any, use"
                " --list"
            )
        if now - self._taken_out_at >= self._failed.take_out_every:
            self._take_out()

    def _wait_until_settled(self, inlet: AckInlet, outlet: Outlet, stop: Stop) -> None:
        outlet.flush()
        self._has_written_all = True
        ends_at: float | None = None
        while self._outstanding and not self._is_lost:
            if stop.is_set():
                inlet.await_last()
                ends_at = ends_at or time.monotonic() + self._drain
                left = ends_at - time.monotonic()
                if left <= 0:
                    return
                if outlet.fileno() in wait(self._settled, gone=outlet, seconds=left):
                    raise ReaderGone
                self._settled.clear()
            else:
                self._wait_for_room(outlet, stop)

    def _settle_last(self, inlet: AckInlet) -> None:
        """Wait, after the reader has gone, for those who may still settle what it passed on."""
        parting = Parting(inlet, self._drain)
        while self._outstanding and not parting.is_over:
            wait(self._settled, *self._failed.descriptors(), seconds=parting.LOOK_EVERY)
            self._settled.clear()
            self._failed.tend()

    def _settle(self, acks: list[Ack]) -> None:
        """Record acknowledgements; called in the inlet's thread."""
        with self._lock:
            for ack in acks:
                # Another epoch: a line of an earlier replay is still in some pipe. Only this
                # process's own numbers mean something here.
                is_ours = ack.epoch == self._epoch
                key = self._outstanding.pop(ack.number, None) if is_ours else None
                if key is not None and ack.done:
                    self._done[key] += 1
                elif key is not None:
                    self._rejected += 1
        self._settled.ring()

    def _lose(self, reason: str) -> None:
        """Give up the events that are not settled: nobody will. Called in the inlet's thread."""
        if self._outstanding:
            _log.warning("%s; events not settled stay in '%s'", reason, self._failed.name)
            self._is_lost = True
            self._settled.ring()

    def _held(self) -> int:
        outstanding = len(self._outstanding)
        return outstanding if self._has_written_all or outstanding >= self._prefetch else 0

    def _take_out(self) -> None:
        with self._lock:
            done, self._done = self._done, Counter()
        removed = self._failed.take_out(done)
        self._removed += removed
        if done:
            _log.debug("%d events done, %d removed", done.total(), removed)
        self._missing += done.total() - removed
        self._taken_out_at = time.monotonic()

    def _report(self) -> None:
        if self._skipped:
            _log.warning(
                "cannot replay %s of '%s': %s; --type 'not an event' --list shows more",
                counted(self._skipped, "line"),
                self._failed.name,
                "it is not an event" if self._skipped == 1 else "they are not events",
            )
        if self._missing:
            _log.warning(
                "%s done and not in '%s' any more: if the file has been renamed meanwhile, as"
                " logrotate does, they are still in the renamed one; otherwise another flow-failed"
                " has removed them",
                counted(self._missing, "event", "is", "are"),
                self._failed.name,
            )
        events = counted(self._written, "event")
        _log.info("replayed %s; %d done and removed", events, self._removed)
        left = len(self._outstanding)
        if left or self._rejected:
            rejected = counted(self._rejected, "event", "was", "were")
            raise EventsFailed(
                f"{rejected} rejected and {left} not settled; they stay in '{self._failed.name}'"
            )
