"""Run a user's own Source; loading.py says what it may be.

The user's code runs in a thread of its own, so that a signal ends the command whatever that code
does. `run` starts the thread, and joins it unless it is stuck.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Thread
from typing import Any, Literal

from flowtools.ack.receiver import AckInlet, AckSocket
from flowtools.core.errors import EventsFailed, FlowError, ReaderGone, UsageError
from flowtools.core.event import Event
from flowtools.core.lines import MAX_LINE, LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop, Wake, wait
from flowtools.process import console
from flowtools.process.ear import Ear
from flowtools.process.stdout import guarded_stdout
from flowtools.process.vitals import vitals
from flowtools.source.gate import Ended, Gate
from flowtools.source.settings import Taking
from flowtools.source.telling import clean_up_within
from flowtools.worker.description import described

_log = get_log("flowtools.source")


class CustomSource:
    """A source that writes the values of a user's Source as events.

    Attributes:
        is_stuck: Whether the Source's thread was left behind and may never end.
        drain: Maximum time for the end, in seconds.
    """

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
            source: The object.
            name: What to call it.
            ack: When `done` is called; see loading.py.
            prefetch: How many events may be unsettled at a time (ack="worker").
            count: End after so many events.
            grace: Seconds that the Source has to end, once asked to.
            drain: Seconds that outstanding acknowledgements have after a stop.
            max_line: Maximum size of an event's line in bytes; longer ones are refused.
            inlet: Makes what receives acknowledgements.

        Raises:
            UsageError: It has no `done`, and `ack` is "worker".
        """
        self.is_stuck = False
        self._not_told = 0
        self._source = source
        self._name = name
        self._done: Callable[[Event, bool], Any] | None = getattr(source, "done", None)
        if ack == "worker" and self._done is None:
            raise UsageError(
                f"--ack worker is of no use: the Source '{name}' has no 'done' to be told by"
            )
        self._worker = ack == "worker"
        self._prefetch, self._count, self._max_line = prefetch, count, max_line
        self._grace = grace
        self.drain = self._drain = drain
        self._inlet = inlet

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write events to `outlet` until the Source ends, `count` is reached or `stop` is set.

        Raises:
            FlowError: The Source raised an exception; a FlowError of its own is raised unchanged.
            EventsFailed: It gave values that are not events.
            ReaderGone: Nobody reads any more.
        """
        inlet, drain = self._inlet() if self._worker else None, self._drain
        if isinstance(outlet, LineWriter):
            # The Source's own code has the other half of the time.
            outlet.give_up(stop, self._grace / 2)
        ended = Wake()
        try:
            gate = Gate(outlet, self._prefetch, self._count, self._tell, inlet, self._max_line)
            thread = Thread(target=self._give, args=(gate, ended), name="source", daemon=True)
            thread.start()
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
            raise EventsFailed(f"'done' of the Source failed for {self._not_told} events")

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
            # It says itself when it is at its end.
            Thread(target=self._source_stop, name="source-stop", daemon=True).start()
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


def run_on_stdout(
    make: Callable[[], CustomSource],
    working: Callable[[], AbstractContextManager[Stop]],
    on_stuck: Callable[[], None],
) -> None:
    """Run the source that `make` makes on stdout; anything its code prints becomes a message.

    Args:
        make: Makes the source.
        working: Context in which the process obeys signals and reports its status.
        on_stuck: Called if a thread is left behind that may never end.

    Raises:
        FlowError, ReaderGone: As CustomSource.run.
        Signalled: A signal asked for the end.
    """
    console.name_others("source")
    ear = Ear()
    try:
        with working() as stop, guarded_stdout(ear, lambda: None) as writer:
            vitals.provide("events_out", lambda: writer.emitted)
            source = make()
            console.bound_flush(source.drain)
            try:
                source.run(writer, stop)
            finally:
                if source.is_stuck:
                    on_stuck()
    finally:
        ear.close()
