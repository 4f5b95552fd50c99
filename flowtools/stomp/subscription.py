"""One subscription in one session: messages in, event lines out, acknowledgements back.

The thread that calls `run` does all of it but the receiving of acknowledgements in worker
mode, so that these flow on while a full pipe holds up the lines.
"""

import select
from collections.abc import Callable, Sequence
from time import monotonic

from flowtools.ack.receiver import AckInlet, new_epoch
from flowtools.core.errors import ProtocolError, ReaderGone, RefusedError
from flowtools.core.event import Event, EventError
from flowtools.core.lines import MAX_LINE
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.wait import Stop
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame
from flowtools.stomp.passage import Beside, Passage, Stage, add_extra
from flowtools.stomp.pipe import Pipe
from flowtools.stomp.refusals import Refusals
from flowtools.stomp.session import Session, error_text
from flowtools.stomp.terms import Terms
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.window import WorkerWindow, WrittenWindow

GOODBYE = 5.0
"""Seconds that the broker has for the receipt of DISCONNECT."""

EXTRA = 64
"""Events that come from beside the broker before its own have their turn."""

_LARGE = MAX_LINE // 16
"""Bytes of a body below which its line cannot be too long: JSON takes at most six for one."""

_log = get_log("flowtools.source.stomp")


class Subscription:
    """Serves one session until it ends.

    Attributes:
        taken: How many events have been written.
        confirmed: Whether the broker has accepted the subscription.
        outstanding: How many events are not acknowledged (worker mode).
    """

    def __init__(
        self,
        session: Session,
        terms: Terms,
        outlet: Outlet,
        stop: Stop,
        *,
        to_events: Callable[[Frame, Dialect], Sequence[Event]],
        count: int | None,
        acks: AckInlet | None,
        beside: Beside | None = None,
        stage: Stage | None = None,
    ) -> None:
        """Prepare to serve `session`; `acks` makes it worker mode."""
        self.taken = 0
        self.confirmed = False
        self._session = session
        self._terms = terms
        self._outlet = outlet
        self._stop = stop
        self._to_events = to_events
        self._count = count
        self._deadline: float | None = None
        self._active = monotonic()
        # Often enough that the broker never waits for us with its window full.
        self._ack_every = max(1, terms.prefetch // 4)
        self._beside = beside
        self._in_buffer: list[int] = []
        self._refusals = Refusals(session, terms.dead_letter, self._settle)
        self._written = WrittenWindow(session, self._refusals)
        self.worker: WorkerWindow | None = None
        epoch = new_epoch()
        if acks is not None:
            self.worker = WorkerWindow(session, self._refusals, epoch, self._settle)
            self._ackto = acks.ackto(epoch)
        self._passage = Passage(stage, self._written, self.worker, epoch, beside) if stage else None
        self._pipe = Pipe(outlet, stop, self._drain_until)
        self._left = False
        self._events = select.poll()
        self._events.register(stop.fileno(), select.POLLIN)
        self._events.register(session.fileno(), select.POLLIN)
        self._events.register(outlet.fileno(), 0)
        for each in (beside, stage):
            if each is not None:
                self._events.register(each.fileno(), select.POLLIN)

    @property
    def outstanding(self) -> int:
        """How many events wait for an acknowledgement from outside."""
        inside = self._passage.inside if self._passage else 0
        return self.worker.outstanding - inside if self.worker else 0

    @property
    def doubt(self) -> str:
        """What the end of the session may be about, to be added to its reason; or nothing."""
        return self._refusals.doubt

    def abandon(self, reason: str) -> None:
        """End the session, so that the broker delivers again what is outstanding."""
        self._session.abandon(reason)

    def run(self) -> None:
        """Write events until `count` of them are written, a stop is asked for, or it is idle.

        Raises:
            ConnectionLost: The connection has ended; there may be another.
            ProtocolError: The other side does not speak STOMP.
            RefusedError: The broker refuses the subscription.
            ReaderGone: Nobody reads any more.
        """
        self._subscribe()
        while not self._is_over():
            frames = self._session.take()
            extra = self._take_staged() + self._take_extra()
            if not frames and not extra:
                left = self._idle_left()
                if left == 0:
                    break
                self._wait(left)
                continue
            self._active = monotonic()
            for frame in frames:
                if frame.command != "MESSAGE":
                    self._note(frame)
                elif not self._left and (self._passage is None or self._has_room()):
                    self._take(frame)
                    if self._is_full():
                        break
                    if self._written.size >= self._ack_every or self._pipe.is_block:
                        self._write()
            self._write()
        self._finish()

    def _is_full(self) -> bool:
        return self._count is not None and self.taken >= self._count

    def _is_over(self) -> bool:
        return self._is_full() or self._stop.is_set()

    def _idle_left(self) -> float | None:
        """Return the seconds until it has been idle for long enough; None where it never is."""
        idle = self._terms.idle
        if idle is None:
            return None
        if self.outstanding or not self.confirmed:
            self._active = monotonic()
            idle = min(idle, 1.0)  # Nobody tells when the last is acknowledged: look again.
        return max(0.0, self._active + idle - monotonic())

    def _subscribe(self) -> None:
        dialect = self._session.dialect
        ack = dialect.ack_mode(individual=self.worker is not None)
        self._session.send_frame("SUBSCRIBE", self._terms.headers_for(dialect, ack, self._count))

    def _wait(self, seconds: float | None) -> None:
        """Wait for frames, a stop, or the reader's end.

        Raises:
            ReaderGone: The reader has gone.
        """
        ready = dict(self._events.poll(None if seconds is None else max(0.0, seconds) * 1000))
        if ready.get(self._outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone

    def _confirm(self) -> None:
        if not self.confirmed:
            self.confirmed = True
            if self._beside is not None:
                self._beside.start()

    def _settle(self, tokens: Sequence[int]) -> None:
        if self._beside is not None and tokens:
            self._beside.done(tokens)

    def _take_extra(self) -> int:
        """Write what comes from beside the broker; return how many events."""
        if self._beside is None or self._is_full() or not self.confirmed:
            return 0
        if not select.select([self._beside], [], [], 0)[0] or not self._has_room():
            return 0
        room = EXTRA
        if self.worker is not None:
            room = min(room, self._terms.prefetch - self.worker.extra)
        if self._count is not None:
            room = min(room, self._count - self.taken)
        if self._passage is not None:
            room = min(room, self._passage.stage.room)
        taken = self._beside.take(room)
        for event, token in taken:
            if self._passage is not None:
                self._passage.put([event], None, [token])
            elif self.worker is None:
                self._write_event(event)
                self._in_buffer.append(token)
            else:
                self._write_event(event, add_extra(self.worker, event, token))
        return len(taken)

    def _take_staged(self) -> int:
        """Write what has passed the stage; return how many events that was."""
        passage = self._passage
        if passage is None or self._is_full() or not select.select([passage.stage], [], [], 0)[0]:
            return 0
        if not self.flush():
            return 0
        room = EXTRA if self._count is None else min(EXTRA, self._count - self.taken)
        passed = passage.take(room, self._write_event)
        self._in_buffer += [token for token in passed if token is not None]
        return len(passed)

    def _note(self, frame: Frame) -> None:
        if frame.command == "RECEIPT":
            receipt = frame.headers.get("receipt-id", "")
            if receipt == "subscribe":
                self._confirm()
            self._refusals.note_receipt(receipt)
        elif frame.command == "ERROR":
            self._fail(error_text(frame))
        else:
            raise ProtocolError(f"'{self._session.name}' sends a {frame.command} frame")

    def _fail(self, said: str) -> None:
        if not self.confirmed:
            raise RefusedError(
                f"'{self._session.name}' refuses the subscription to "
                f"'{self._terms.destination}': {said}"
            )
        raise ConnectionLost(f"the broker says: {said}")

    def _has_room(self) -> bool:
        """Wait until an event can be taken in hand (True) or a stop is asked for."""
        if self._passage is None:
            return self.flush()
        stage = self._passage.stage
        waiting = select.poll()
        waiting.register(stage.fileno(), select.POLLIN)
        waiting.register(self._stop.fileno(), select.POLLIN)
        waiting.register(self._outlet.fileno(), 0)
        while stage.room <= 0 and not self._is_over():
            if dict(waiting.poll()).get(self._outlet.fileno(), 0) & select.POLLERR:
                raise ReaderGone
            self._take_staged()
            self._write()
        return not self._is_over()

    def _take(self, message: Frame) -> None:
        if not self.confirmed:
            self._confirm()
        events = self._events_of(message)
        if events is None:
            return
        tokens = [self._beside.begin(event) for event in events] if self._beside else []
        if not events and self.worker is not None:
            self.worker.finish(message, refused=False)
        elif self._passage is not None:
            self._passage.put(events, message, tokens)
        elif self.worker is None:
            for event in events:
                self._write_event(event)
            self._in_buffer += tokens
            self._written.add(message)
        else:
            numbers = self.worker.add(message, len(events), tokens)
            for event, number in zip(events, numbers, strict=True):
                self._write_event(event, number)

    def _events_of(self, message: Frame) -> Sequence[Event] | None:
        """Return the events of a message; None where it has been refused."""
        try:
            events = self._to_events(message, self._session.dialect)
            if len(message.body) > _LARGE and any(len(e.encode()) > MAX_LINE for e in events):
                raise EventError(f"its line would be longer than {MAX_LINE} bytes")
            if message.headers.get("redelivered") == "true":
                for event in events:
                    event.attributes["redelivered"] = True
        except EventError as error:
            _log.error(
                "cannot take message '%s' from '%s': %s; it goes to '%s'",
                message.headers.get("message-id"),
                message.headers.get("destination"),
                error,
                self._terms.dead_letter,
            )
            self._refuse(message)
            return None
        except Exception:  # noqa: BLE001  one bad message must not end the listener
            _log.exception(
                "cannot make an event of message '%s' from '%s'; it goes to '%s'",
                message.headers.get("message-id"),
                message.headers.get("destination"),
                self._terms.dead_letter,
            )
            self._refuse(message)
            return None
        return events

    def _write_event(self, event: Event, number: int | None = None) -> None:
        if number is not None:
            event.attributes["ackto"] = f"{self._ackto}{number}"
        self.taken += 1
        self._pipe.put(event)

    def _refuse(self, message: Frame) -> None:
        if self.worker is not None:
            self.worker.finish(message, refused=True)
        elif self._write():
            self._written.refuse(message)

    def _write(self) -> bool:
        """Let the lines out, then acknowledge those that count as done by that."""
        written = self.flush()
        if written:
            self._written.acknowledge()
        # What has come by now will be delivered again: after a stop, or where waiting for
        # the reader has outlasted the connection.
        self._left = self._session.lost is not None or self._stop.is_set()
        return written

    def flush(self) -> bool:
        """Let the lines out that have gathered; return whether they are.

        They are not where a stop was asked for and the reader takes nothing.
        """
        if not self._pipe.flush():
            return False
        self._settle(self._in_buffer)
        self._in_buffer = []
        return True

    def _drain_until(self) -> float:
        if self._deadline is None:
            self._deadline = monotonic() + self._terms.drain
        return self._deadline

    def _finish(self) -> None:
        held = self._refusals.unanswered
        try:
            while self.outstanding or self._refusals.unanswered:
                if self._stop.is_set() and monotonic() >= self._drain_until():
                    break
                for frame in self._session.take():
                    if frame.command != "MESSAGE":
                        self._note(frame)
                self._wait_for_acks()
            if held:
                self._write()
        except ConnectionLost as error:
            reason = f"{error}{self.doubt}"
            _log.warning("lost the connection to '%s' at the end: %s", self._session.name, reason)
        if self.outstanding:
            _log.warning(
                "ends without the acknowledgement of %d events; they will be delivered again",
                self.outstanding,
            )
        self._session.close(GOODBYE)

    def _wait_for_acks(self) -> None:
        # Not through _wait: the stop's descriptor stays readable for ever.
        poller = select.poll()
        poller.register(self._session.fileno(), select.POLLIN)
        poller.register(self._outlet.fileno(), 0)
        if dict(poller.poll(50)).get(self._outlet.fileno(), 0) & select.POLLERR:
            raise ReaderGone
