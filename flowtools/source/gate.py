"""The gate between a user's Source and the outlet: makes events of values, and limits their number.

The user's threads call `emit`, which waits while the window is full; that is how a fast Source is
slowed down. The inlet's thread takes acknowledgements out of the window and passes them to the
thread that calls `done` (telling.py). The main thread minds the end.

When acknowledgements are lost because the process that owed them has died, the gate writes the
events in flight again, in a new epoch (epochs.py). If the dead process was the last reader behind a
filter, this write also shows that the pipe has no reader any more.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count as numbers_from
from threading import Condition
from time import sleep
from typing import Any

from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckInlet
from flowtools.ack.records import Ack
from flowtools.core.cloudevents import complaint
from flowtools.core.errors import EventsFailed, FlowError, ReaderGone
from flowtools.core.event import Event, EventError
from flowtools.core.lines import MAX_LINE
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.toolong import exceeds
from flowtools.core.wait import Stop, Wake, wait
from flowtools.source.epochs import Epochs
from flowtools.source.telling import Telling, Told

_log = get_log("flowtools.source")


class Ended(Exception):
    """Raised by `emit` after the command has ended: it takes no more values.

    A Source need not catch it, in any of its threads: it is not reported as an error.
    """

    is_quiet = True


class Gate:
    """The way from the user's threads to the outlet: makes events, counts and limits them.

    Attributes:
        failure: The exception that ended the Source.
        said: The text of that exception. The thread that raised it has made the text, because
            that runs user code.
        full: Set when `count` is reached.
        lost: Set when `write_again` has to be called.
    """

    def __init__(
        self,
        outlet: Outlet,
        prefetch: int,
        count: int | None,
        tell: Callable[[Event, bool], None],
        inlet: AckInlet | None,
        max_line: int = MAX_LINE,
    ) -> None:
        self._max_line = max_line
        self.failure: BaseException | None = None
        self.said = ""
        self.full = Wake()
        self.lost = Wake()
        self._outlet = outlet
        self._prefetch = prefetch
        self._count = count
        self._tell = tell
        self._telling = Telling(tell, self._told)
        self._untold = 0
        self._inlet = inlet
        self._epochs = Epochs(inlet) if inlet is not None else None
        self._loss = ""
        self._taken = self._refused = 0
        self._numbers = numbers_from(1)
        self._waiting: dict[int, Event] = {}
        self._change = Condition()
        self._is_shut = self._is_closed = False
        if inlet is not None:
            inlet.start(
                self._settle,
                lost=self._lose,
                held=self._held,
                in_flight=lambda: self._waiting,
            )

    def exhaust(self, values: Iterable[Any]) -> None:
        """Emit every one of `values`; one that is not an event is refused and reported."""
        iterator = iter(values)
        try:
            for number, value in enumerate(iterator, 1):
                try:
                    self.emit(value)
                except EventError as error:
                    self._refused += 1
                    _log.error("value %d of the Source is not an event: %s", number, error)
                if self._is_shut:
                    return
        finally:
            # A generator cleans up here, in this thread, and not whenever it is collected.
            close = getattr(iterator, "close", None)
            if close is not None:
                close()

    def emit(self, value: Any) -> None:
        """Write `value` as an event; wait while too many are unacknowledged or the pipe is full.

        Raises:
            EventError: The value has no JSON form, or its line is too long; nothing is written.
            Ended: The command has ended.
        """
        if value is None:
            return
        event = _event(value)
        line = event.encode()  # Before it is counted: it may raise.
        if found := exceeds(line, self._max_line):
            raise EventError(found)
        with self._change:
            while self._is_full() and not self._is_closed:
                self._change.wait()
            if self._is_closed or (self._count is not None and self._taken >= self._count):
                raise Ended
            self._taken += 1
            if self._epochs is not None:
                number = next(self._numbers)
                self._waiting[number] = event
                event.attributes["ackto"] = self._epochs.ackto(number)
        # Without the lock: the pipe may be full, and acknowledgements have to go on. And each line
        # at once: the next value may be hours away.
        self._write([event])
        if self._epochs is None:
            self._tell(event, True)
        if self._taken == self._count:
            self._is_shut = True
            self.full.ring()

    def write_again(self) -> bool:
        """Write the unacknowledged events once more; return False if nothing can be written.

        Waits while the pipe is full.
        """
        self.lost.clear()
        with self._change:
            if self._epochs is None or not self._waiting:
                return True
            _log.warning("writing %s again: %s", counted(len(self._waiting), "event"), self._loss)
            self._epochs.begin()
            copies = [
                Event.of(event.attributes | {"ackto": self._epochs.ackto(number)})
                for number, event in self._waiting.items()
            ]
        with suppress(Ended):
            self._write(copies)
            return True
        return False

    def _write(self, events: Iterable[Event]) -> None:
        try:
            for event in events:
                self._outlet.emit(event)
            self._outlet.flush()
        except (ReaderGone, FlowError) as error:
            self.failure = self.failure or error
            self._is_closed = True
            raise Ended from None

    def _lose(self, reason: str) -> None:
        """Note that acknowledgements are lost; called in the inlet's thread."""
        self._loss = reason
        self.lost.ring()

    def _held(self) -> int:
        """Return how many events must be settled before the next one, or before the end."""
        held = len(self._waiting)
        return held if held >= self._prefetch or self._is_shut else 0

    def _settle(self, acks: list[Ack]) -> None:
        """Take acknowledgements; called in the inlet's thread."""
        settled: list[Told] = []
        with self._change:
            for ack in acks:
                # The number stays when an event is written again, so any of its lines counts.
                is_ours = self._epochs is not None and ack.epoch in self._epochs
                event = self._waiting.pop(ack.number, None) if is_ours else None
                if event is not None:
                    settled.append((event, ack.done))
            self._untold += len(settled)
        if settled:
            self._telling.put(settled)

    def _told(self) -> None:
        """Note that `done` has returned for one event, which makes room for another."""
        with self._change:
            self._untold -= 1
            self._change.notify_all()

    def _is_full(self) -> bool:
        # `done` itself may emit. If it had to wait for its own return here, it would wait for ever.
        in_flight = len(self._waiting) + self._untold
        return in_flight >= self._prefetch and not self._telling.is_here()

    def shut(self) -> None:
        """Ask for no further values; values that are emitted all the same still count."""
        self._is_shut = True

    def close(self) -> None:
        """Refuse all further values."""
        with self._change:
            self._is_closed = True
            self._change.notify_all()

    def wait_until_settled(self, outlet: Outlet, stop: Stop, seconds: float) -> bool:
        """Wait for acknowledgements and calls of `done`.

        After a stop, or the end of the reader, for up to `seconds`; without a reader only as long
        as somebody may still acknowledge, or `done` is running.

        Return whether `done` has returned for each event that was acknowledged.
        """
        self.shut()
        parting: Parting | None = None
        is_gone = isinstance(self.failure, ReaderGone)
        while self._inlet is not None and (self._waiting or self._untold):
            if parting is None and (is_gone or stop.is_set()):
                parting = Parting(self._inlet, seconds)
            if parting is not None and parting.is_late:
                if self._waiting and not is_gone:
                    _log.warning(
                        "stopped with %s unacknowledged", counted(len(self._waiting), "event")
                    )
                break
            if not is_gone:
                is_gone = self._is_gone_in_a_moment(outlet, stop)
            elif parting is not None and parting.is_over and not self._untold:
                break
            else:
                sleep(Parting.LOOK_EVERY)
        if is_gone and self._waiting:
            self.failure = self.failure or ReaderGone()
        if self._untold:
            _log.error(
                "'done' of the Source has not returned for %s", counted(self._untold, "event")
            )
        return not self._untold

    def _is_gone_in_a_moment(self, outlet: Outlet, stop: Stop) -> bool:
        """Write lost events again, and wait a little; return whether the reader has gone."""
        if not stop.is_set() and self.lost.wait(0):
            self.write_again()
        return bool(wait(gone=outlet, seconds=0.05))

    def raise_failure(self, name: str) -> None:
        """Raise the exception that ended the Source, if there was one."""
        failure = self.failure
        if isinstance(failure, EventError):
            raise FlowError(
                f"the Source '{name}' gave a value that is not an event: {self.said}"
            ) from failure
        if isinstance(failure, FlowError | ReaderGone):
            raise failure
        if failure is not None:
            raise FlowError(f"the Source '{name}' failed: {self.said}") from failure
        if self._refused:
            total = self._taken + self._refused
            values = counted(total, "value", "was not an event", "were not events")
            raise EventsFailed(f"{self._refused} of {values}")


def _event(value: Any) -> Event:
    if not isinstance(value, Event):
        return Event("flow.source.value", value, source="flow-source")
    if found := complaint(value.attributes):
        raise EventError(f"not a CloudEvents 1.0 event: {found}")
    return Event.of(dict(value.attributes))
