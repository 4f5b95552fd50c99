"""The relay: hands the duty to acknowledge an event on to the lines that are made of it.

Where one line is made of an event, that line carries the event's own `ackto`, and whoever settles
the line tells the event's source. Where there are several, or copies of one, each line gets an
`ackto` of the relay's own socket, and the source is told once all of them are settled: that the
event is done if every line is, otherwise that it is rejected.

The relay keeps no lines, so it cannot write them again. When a process behind it vanishes, it
forgets what is outstanding and breaks its connections to the sources off, which does to them what
happened to it: they deliver again, and the new lines find out whatever stands dead in the pipe.

`split` and `carry` may be called by any thread; the inlet's thread settles.
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from flowtools.ack.duties import Duties
from flowtools.ack.receiver import AckInlet, AckSocket, new_epoch
from flowtools.ack.records import Ack, Reason, parse_ackto
from flowtools.ack.sender import AckSender
from flowtools.core.errors import ReaderGone
from flowtools.core.log import get_log
from flowtools.core.wait import HasFileno, Stop, Wake, wait

_log = get_log("flowtools.ack")


class Relay:
    """Splits events into lines that are settled one by one."""

    def __init__(
        self,
        upstream: AckSender,
        inlet: Callable[[], AckInlet] = AckSocket,
        *,
        shows: bool = False,
    ) -> None:
        """Prepare to split events.

        Args:
            upstream: Tells the sources.
            inlet: Makes what hears of the lines, when it is needed.
            shows: Whether the lines that are not settled are what the command has in flight.
        """
        self._shows = shows
        self._upstream = upstream
        self._make_inlet = inlet
        self._inlet: AckInlet | None = None
        self._ackto = ""
        self._duties = Duties(new_epoch())
        self._state = Lock()
        self._settled = Wake()
        self._is_forsaken = False

    @property
    def outstanding(self) -> int:
        """How many lines are not settled."""
        return self._duties.outstanding

    @property
    def is_forsaken(self) -> bool:
        """Whether lines were lost to a process that vanished, now or earlier."""
        return self._is_forsaken

    def carry(self, ackto: str, lines: int) -> list[str]:
        """Return the `ackto` of each of the `lines` made of an event; with none it is done.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: There is no place for the relay's socket.
        """
        if lines == 1:
            parse_ackto(ackto)
            return [ackto]
        if not lines:
            self._upstream.ack(ackto)
            return []
        return self.split(ackto, lines)

    def split(self, ackto: str, lines: int) -> list[str]:
        """Return an `ackto` of our own for each of the `lines`, one or more, of an event.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: There is no place for the relay's socket.
        """
        parse_ackto(ackto)
        with self._state:
            if self._inlet is None:
                self._inlet = inlet = self._make_inlet()
                self._ackto = inlet.ackto(self._duties.epoch)
                in_flight = (lambda: self._duties.parts) if self._shows else None
                inlet.start(self._settle, lost=self._lose, in_flight=in_flight)
            return [f"{self._ackto}{number}" for number in self._duties.split(ackto, lines)]

    def reject(self, ackto: str, reason: Reason) -> None:
        """Say that an event has failed for good.

        Raises:
            AckError: `ackto` is malformed.
        """
        self._upstream.nack(ackto, reason)

    def wait_until_settled(
        self,
        stop: Stop,
        drain: float,
        reader: HasFileno | None = None,
        *,
        news: HasFileno | None = None,
    ) -> None:
        """Wait until every line is settled, after `stop` for up to `drain` seconds.

        Raises:
            ReaderGone: The reader of the pipe `reader` has gone, or `news` is readable, which
                says the same of one of several: nobody can settle some lines any more.
        """
        ends_at: float | None = None
        while self.outstanding:
            if stop.is_set():
                ends_at = ends_at or monotonic() + drain
                if monotonic() >= ends_at:
                    return
            left = None if ends_at is None else ends_at - monotonic()
            # After the stop its descriptor stays readable.
            others = [each for each in (news, stop) if each is not None]
            if stop.is_set():
                others.remove(stop)
            ready = wait(self._settled, *others, gone=reader, seconds=left)
            if any(each is not None and each.fileno() in ready for each in (reader, news)):
                raise ReaderGone
            self._settled.clear()

    def close(self, *, bye: bool) -> None:
        """End: hand on what has been settled so far.

        Args:
            bye: Whether everything that was read has been settled, or carried on.
        """
        if self._inlet is not None:
            self._inlet.close()
        if left := self.outstanding:
            _log.warning("ends without the acknowledgement of %d lines", left)
        self._upstream.close(bye=bye and not left and not self._is_forsaken)
        self._settled.close()

    def _settle(self, acks: list[Ack]) -> None:
        with self._state:
            verdicts = self._duties.settle(acks)
        for each in verdicts:
            if each.done:
                self._upstream.ack(each.ackto)
            else:
                self._upstream.nack(each.ackto, each.reason)
        self._settled.ring()

    def _lose(self, reason: str) -> None:
        """Let the sources deliver again: what is outstanding will never be settled."""
        with self._state:
            epoch = new_epoch()
            forgotten = self._duties.forget(epoch)
            if self._inlet is not None:
                self._ackto = self._inlet.ackto(epoch)
        if forgotten:
            self._is_forsaken = True
            _log.warning("%s; %d lines will be delivered again by their source", reason, forgotten)
            self._upstream.break_off()
            self._settled.ring()
