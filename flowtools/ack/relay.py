"""The relay: passes the duty to acknowledge an event on to the lines that are made of it.

If one line is made of an event, that line carries the event's own `ackto`, and the process that
settles the line tells the event's source directly. If several lines are made of it, or copies of
one line, each gets an `ackto` of the relay's own socket. Once all of them are settled, the relay
tells the source: the event is done if every line is done, otherwise it is rejected.

The relay keeps no lines, so it cannot write them again. When a process behind it vanishes, the
relay forgets what is outstanding and breaks off its connections to the sources without `bye`. The
sources treat this like the loss of any other process: they deliver the events again, and writing
the new lines reveals any dead reader in the pipe.

`split` and `carry` may be called by any thread; the inlet's thread settles. The lock `_state`
guards the duties and the epoch, which change together when lines are lost.
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic

from flowtools.ack.duties import Duties
from flowtools.ack.parting import Parting
from flowtools.ack.receiver import AckSocket, new_epoch
from flowtools.ack.records import Ack, Reason, parse_ackto
from flowtools.ack.sender import AckSender
from flowtools.core.errors import ReaderGone
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.wait import HasFileno, Stop, Wake, wait

_log = get_log("flowtools.ack")


class Relay:
    """Splits events into lines that are settled one by one."""

    def __init__(
        self,
        upstream: AckSender,
        inlet: Callable[[], AckSocket] = AckSocket,
        *,
        shows: bool = False,
    ) -> None:
        """Prepare to split events.

        Args:
            upstream: Sends the acknowledgements to the sources.
            inlet: Makes the receiver of the lines' acknowledgements, when it is first needed.
            shows: Whether to show the unsettled lines as the command's events in flight.
        """
        self._shows = shows
        self._upstream = upstream
        self._make_inlet = inlet
        self._inlet: AckSocket | None = None
        self._ackto = ""
        self._duties = Duties(new_epoch())
        self._state = Lock()
        self._settled = Wake()
        self._is_forsaken = False

    @property
    def outstanding(self) -> int:
        """Number of unsettled lines."""
        return self._duties.outstanding

    @property
    def is_forsaken(self) -> bool:
        """Whether lines were lost to a process that vanished, now or earlier."""
        return self._is_forsaken

    def carry(self, ackto: str, lines: int) -> list[str]:
        """Return an `ackto` for each of the `lines` made of an event; 0 lines acknowledge it.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: The relay's socket cannot be made.
        """
        if lines == 1:
            parse_ackto(ackto)  # A malformed one is an error here, not in the next command.
            return [ackto]
        if not lines:
            self._upstream.ack(ackto)
            return []
        return self.split(ackto, lines)

    def split(self, ackto: str, lines: int) -> list[str]:
        """Return an `ackto` of the relay's own socket for each of the `lines`, at least one.

        Raises:
            AckError: `ackto` is malformed.
            ConfigurationError: The relay's socket cannot be made.
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
        """Tell the source that an event has failed permanently.

        Raises:
            AckError: `ackto` is malformed.
        """
        self._upstream.nack(ackto, reason)

    def miss(self, reason: str) -> None:
        """Note that a reader of lines has gone: what it had not settled is delivered again soon."""
        if self._inlet is not None:
            self._inlet.miss(reason)

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
            ReaderGone: The reader of the pipe `reader` has gone, and nobody settles what is left;
                or `news` is readable, which means that one of several readers has gone.
        """
        ends_at: float | None = None
        while self.outstanding:
            if stop.is_set():
                ends_at = ends_at or monotonic() + drain
                if self._inlet is not None:
                    self._inlet.await_last()
                if monotonic() >= ends_at:
                    return
            left = None if ends_at is None else ends_at - monotonic()
            # Once set, the stop's descriptor stays readable and would end every wait at once.
            others = [each for each in (news, stop) if each is not None]
            if stop.is_set():
                others.remove(stop)
            ready = wait(self._settled, *others, gone=reader, seconds=left)
            if news is not None and news.fileno() in ready:
                raise ReaderGone
            if reader is not None and reader.fileno() in ready:
                if self.settle_last(drain if left is None else left):
                    return
                raise ReaderGone
            self._settled.clear()

    def settle_last(self, seconds: float) -> bool:
        """Wait, after the readers have gone, for those who may still settle what they passed on.

        It takes `seconds` at most, and ends earlier when nobody is connected any more. Return
        whether all lines are settled.
        """
        if self._inlet is not None and self.outstanding:
            parting = Parting(self._inlet, seconds)
            while self.outstanding and not parting.is_over:
                self._settled.wait(parting.LOOK_EVERY)
                self._settled.clear()
        return not self.outstanding

    def close(self, *, bye: bool) -> None:
        """Send the verdicts that are known so far, and end.

        Args:
            bye: Whether every event that was read has been settled or passed on.
        """
        # The inlet first: the verdicts that it has received must reach `_upstream` before its end.
        if self._inlet is not None:
            self._inlet.close()
        if left := self.outstanding:
            _log.warning("%s not been acknowledged", counted(left, "line", "has", "have"))
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
        """Make the sources deliver again: the outstanding lines will never be settled."""
        with self._state:
            # In one step with `split`, or a new line could carry the epoch that is forgotten here.
            epoch = new_epoch()
            forgotten = self._duties.forget(epoch)
            if self._inlet is not None:
                self._ackto = self._inlet.ackto(epoch)
        if forgotten:
            self._is_forsaken = True
            _log.warning(
                "%s; %s as not done", reason, counted(forgotten, "line", "counts", "count")
            )
            self._upstream.break_off()
            self._settled.ring()
