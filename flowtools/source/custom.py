"""Run a user's own Source; loading.py says what it may be.

The user's code may hang, or never return. So it runs in a thread of its own, and a signal ends the
command whatever that code does. `run` starts the thread and waits. When the command should end, it
asks the Source to end, and joins its thread, or abandons the thread if it is still there after the
grace. Then it waits for outstanding acknowledgements, and calls `clean_up`, also for a limited
time.
"""

from collections.abc import Callable
from threading import Thread
from typing import Any, Literal

from flowtools.ack.receiver import AckInlet, AckSocket
from flowtools.core.described import Described
from flowtools.core.errors import EventsFailed, FlowError, ReaderGone, UsageError
from flowtools.core.event import Event
from flowtools.core.lines import MAX_LINE, LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, Wake, wait
from flowtools.source.gate import Ended, Gate
from flowtools.source.settings import Taking
from flowtools.source.telling import clean_up_within
from flowtools.worker.description import described

_log = get_log("flowtools.source")


class CustomSource(Described):
    """A source that writes the values of a user's Source as events.

    Attributes:
        is_stuck: Whether the Source's thread was left behind and may never end.
        drain: Maximum time for the end, in seconds.
    """

    FACTS = ("_name", "_count")

    def __init__(
        self,
        source: Any,
        name: str,
        *,
        ack: Literal["pipe", "worker"] = Taking.ack,
        prefetch: int = Taking.prefetch,
        count: int | None = None,
        grace: float = Taking.grace,
        drain: float = Taking.drain,
        max_line: int = MAX_LINE,
        inlet: Callable[[], AckInlet] = AckSocket,
    ) -> None:
        """Prepare to run `source`.

        Args:
            source: An object of the user's class.
            name: Its name in messages.
            ack: When `done` is called; see loading.py.
            prefetch: Maximum number of unsettled events (ack="worker").
            count: Number of events after which it ends.
            grace: Seconds that the Source has to end after it was asked to.
            drain: Seconds that outstanding acknowledgements have after a stop.
            max_line: Maximum size of an event's line in bytes; longer ones are refused.
            inlet: Makes the receiver of acknowledgements.

        Raises:
            UsageError: It has no `done`, and `ack` is "worker".
        """
        self.is_stuck = False
        self._not_told = 0
        self._source = source
        self._name = name
        self._done: Callable[[Event, bool], Any] | None = getattr(source, "done", None)
        if ack == "worker" and self._done is None:
            raise UsageError(f"--ack worker needs a Source with a method 'done'; '{name}' has none")
        self._worker = ack == "worker"
        self._prefetch, self._count, self._max_line = prefetch, count, max_line
        self._grace = grace
        self.drain = drain
        self._inlet = inlet

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until the Source ends, `count` is reached or `stop` is set.

        Raises:
            FlowError: The Source raised an exception; a FlowError of its own is raised unchanged.
            EventsFailed: It gave values that are not events.
            ReaderGone: Nobody reads any more.
        """
        inlet, drain = self._inlet() if self._worker else None, self.drain
        if isinstance(outlet, LineWriter):
            # Half of the grace is for a stalled reader, half for the Source's own code.
            outlet.give_up(stop, self._grace / 2)
        ended = Wake()
        how = f"until settled, {self._prefetch} at a time" if self._worker else "until written"
        _log.debug("running the Source '%s'; its events are in flight %s", self._name, how)
        try:
            gate = Gate(outlet, self._prefetch, self._count, self._tell, inlet, self._max_line)
            thread = Thread(target=self._give, args=(gate, ended), name="source", daemon=True)
            start_thread(thread)
            self._mind(gate, ended, outlet, stop)
            if self.is_stuck:
                _log.warning("the Source '%s' has not ended and is abandoned", self._name)
            else:
                thread.join()
            self.is_stuck |= not gate.wait_until_settled(outlet, stop, drain)
        finally:
            if inlet is not None:
                inlet.close()
        late = False
        if not self.is_stuck:
            ended.close()
            self.is_stuck = late = not clean_up_within(self._source, drain)
        gate.raise_failure(self._name)
        if late:
            raise FlowError(f"cannot clean up after the Source: not done within {drain:g} s")
        if self._not_told:
            raise EventsFailed(
                f"'done' of the Source failed for {counted(self._not_told, 'event')}"
            )

    def _mind(self, gate: Gate, ended: Wake, outlet: Outlet, stop: Stop) -> None:
        """Wait until the Source has ended; ask it to end when the command should end."""
        while True:
            ready = wait(ended, stop, gate.full, gate.lost, gone=outlet)
            if ended.fileno() in ready:
                return
            if outlet.fileno() in ready:
                gate.failure = ReaderGone()
            if ready != {gate.lost.fileno()} or not gate.write_again():
                break
        if hasattr(self._source, "stop"):
            # A Source with `stop` ends by itself. What it emits until then still counts.
            start_thread(Thread(target=self._source_stop, name="source-stop", daemon=True))
        else:
            gate.shut()
        self.is_stuck = not ended.wait(self._grace)
        gate.close()

    def _give(self, gate: Gate, ended: Wake) -> None:
        """Run the user's code to its end: the body of the Source's thread."""
        try:
            run = getattr(self._source, "run", None)
            if callable(run):
                run(gate.emit)
            else:
                gate.exhaust(self._source)
        except Ended:
            pass
        except BaseException as error:  # noqa: BLE001  it is raised in the thread of `run`
            gate.said = described(error)
            gate.failure = gate.failure or error
        ended.ring()

    def _source_stop(self) -> None:
        try:
            self._source.stop()
        except BaseException as error:  # noqa: BLE001  the end goes on
            _log.warning("the 'stop' of Source '%s' failed: %s", self._name, described(error))

    def _tell(self, event: Event, ok: bool) -> None:
        if self._done is None:
            return
        try:
            self._done(event, ok)
        except Ended:
            pass  # `emit` raised it, because the command has ended.
        except BaseException as error:  # noqa: BLE001  it must not end the acknowledgements
            self._not_told += 1
            _log.error("the 'done' of Source '%s' failed: %s", self._name, described(error))
