"""A source and a pool in one process: the pipe between them, and acknowledgement without a socket.

Source and pool work as they do in two processes; only the connection between them differs. The
source has a thread of its own, `source`, which `beside` starts, and joins once the pool has ended.
It writes its lines to a pipe. The pool's acknowledgements go back through a queue, and the thread
`acks` hands them to the source, so that a thread of the pool never waits for the source.

When a source ends, the end of its pipe tells the pool, as in two processes. When the pool ends, it
closes its end of the pipe, so that a source which waits in a write notices.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic

from flowtools.ack.receiver import (
    LOOK_EVERY,
    AckInlet,
    AckSocket,
    nothing_held,
    nothing_lost,
)
from flowtools.ack.records import Ack, AckError, Reason
from flowtools.ack.sender import AckSender
from flowtools.ack.stall import Stall
from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.lines import LineWriter
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, wait
from flowtools.pool.work import Input, Rest, Sender
from flowtools.process.vitals import vitals
from flowtools.source import Source

LEAVE = 10.0
"""Seconds that the source has to end once the pool has ended and nothing is awaited."""

_OURS = "self:#"

_log = get_log("flowtools.run")


class DirectAcks:
    """A queue that hands a pool's acknowledgements to a source in the same process.

    The source uses `ackto`, `start` and `close` (it is an AckInlet). The pool uses `give`, from any
    thread and without waiting, and `flush`. One thread hands the acknowledgements on in batches:
    `start` starts it, `close` joins it. The queue never has more than the events that the source
    allows to be unacknowledged.
    """

    def __init__(self) -> None:
        self.stall = Stall()
        self._figures = ExitStack()
        self._given: deque[Ack] = deque()
        self._held: Callable[[], int] = nothing_held
        self._wake = Flag()
        self._handing = Lock()
        self._receive: Callable[[list[Ack]], None] | None = None
        self._thread: Thread | None = None
        self._ending = self._has_begun = False

    @property
    def is_attended(self) -> bool:
        """False: the pool has the source's only pipe, and ends after its last acknowledgement."""
        return False

    def await_last(self) -> None:
        """Do nothing: the pool is the only one that takes events."""

    def ackto(self, epoch: str) -> str:
        """Return the first part of `ackto`, which the event's number completes."""
        self._has_begun = True
        return f"{_OURS}{epoch}."

    def start(
        self,
        receive: Callable[[list[Ack]], None],
        *,
        lost: Callable[[str], None] = nothing_lost,
        held: Callable[[], int] = nothing_held,
        in_flight: Callable[[], Mapping[int, object]] | None = None,
    ) -> None:
        """Hand each batch of acknowledgements to `receive`, in a thread of its own.

        `lost` is never called, because both ends are in this process.
        """
        self._receive, self._held = receive, held
        self._figures.enter_context(vitals.providing(stalled_seconds=lambda: self.stall.seconds))
        self._thread = Thread(target=self._run, name="acks", daemon=True)
        start_thread(self._thread)

    def close(self) -> None:
        """Hand on the acknowledgements that have arrived, and end the thread."""
        self._ending = True
        self._figures.close()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def give(self, ackto: str, done: bool, reason: Reason | None = None) -> None:
        """Take the acknowledgement of the event with this `ackto`.

        Raises:
            AckError: The source has not written this `ackto`: it was in the source's own input.
        """
        epoch, _, number = ackto.removeprefix(_OURS).rpartition(".")
        if not (self._has_begun and number.isascii() and number.isdigit() and len(number) < 20):
            raise AckError(f"cannot acknowledge '{ackto}': this source has not written it")
        self._given.append(Ack(epoch, int(number), done, reason))
        self._wake.set()

    def flush(self, seconds: float) -> None:
        """Wait up to `seconds` until what was given has been handed on."""
        deadline = monotonic() + seconds
        thread = self._thread
        while (self._given or self._handing.locked()) and monotonic() < deadline:
            if thread is None or not thread.is_alive():
                return
            thread.join(0.005)

    def _run(self) -> None:
        while not self._ending or self._given:
            if not self._wake.wait(LOOK_EVERY):
                self.stall.look(self._held())
                continue
            # Cleared first: what is given from now on sets it again, so that nothing is missed.
            self._wake.clear()
            with self._handing:
                while self._given:
                    self._hand_on()

    def _hand_on(self) -> None:
        assert self._receive is not None
        batch: list[Ack] = []
        with suppress(IndexError):
            while len(batch) < 1000:
                batch.append(self._given.popleft())
        self.stall.moved()
        try:
            self._receive(batch)
        except Exception:  # noqa: BLE001  the top of a thread
            _log.exception("internal error while acknowledging")


class DirectSender:
    """The pool's end: acknowledges our own source's events directly, others by their socket."""

    def __init__(self, acks: DirectAcks) -> None:
        self._acks = acks
        self._others = AckSender()

    def see(self, block: bytes) -> None:
        """Note that the pool has read `block`."""
        self._others.see(block)

    def ack(self, ackto: str) -> None:
        """Acknowledge the event; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        if _is_ours(ackto):
            self._acks.give(ackto, True)
        else:
            self._others.ack(ackto)

    def nack(self, ackto: str, reason: Reason | None = None) -> None:
        """Reject the event, with the reason; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        if _is_ours(ackto):
            self._acks.give(ackto, False, reason)
        else:
            self._others.nack(ackto, reason)

    def close(self, seconds: float, *, bye: bool = True) -> None:
        """Wait up to `seconds` until all has been handed on."""
        self._acks.flush(seconds)
        self._others.close(seconds, bye=bye)


def _is_ours(ackto: object) -> bool:
    return isinstance(ackto, str) and ackto.startswith(_OURS)


def acks_between(*, passed_on: bool) -> tuple[Callable[[], AckInlet], Sender]:
    """Return a maker of the source's end of the acknowledgements, and the pool's end.

    If lines are `passed_on`, another process acknowledges them, which needs the socket.
    """
    if passed_on:
        return AckSocket, AckSender()
    acks = DirectAcks()
    return lambda: acks, DirectSender(acks)


@contextmanager
def beside(
    source: Source, acks: Sender, stop: Stop, *, redelivers: bool, drain: float
) -> Iterator[Input]:
    """Run `source` in a thread during the block; yield the input that a pool reads.

    After `stop`, if the source `redelivers` events that are not done, the pool ends as soon as its
    running attempts have ended. Otherwise the events that have arrived are done first, for up to
    `drain` seconds.

    Raises:
        FlowError: The source raised it, and the block ended without an error. If the block raises,
            the source's error is only logged.
    """
    # What another process acknowledges may take until the end of the source's own drain.
    leave = LEAVE if isinstance(acks, DirectSender) else LEAVE + drain
    thread = _SourceThread(source, stop, leave)
    last = None if redelivers else _Later(stop, drain)
    thread.start()
    try:
        rest = None if redelivers else Rest(LEAVE, thread.ask_to_end)
        yield Input(thread.fd, last.stop if last else stop, acks, rest)
    except BaseException:
        # The error of the block is the cause. Raising the source's error here would hide it.
        thread.finish()
        if isinstance(thread.error, FlowError):
            _log.error("%s", thread.error)
        raise
    finally:
        if last is not None:
            last.close()
    thread.finish()
    if thread.error is not None:
        raise thread.error


class _SourceThread:
    """A source that writes to a pipe of its own.

    Attributes:
        fd: The pipe's end for reading.
        error: The exception that the source ended with, if it failed.
    """

    def __init__(self, source: Source, stop: Stop, leave: float) -> None:
        self.fd, self._writing = os.pipe2(os.O_CLOEXEC)
        # Made now, because at the end there may be no free descriptor.
        unread, self._unread = os.pipe2(os.O_CLOEXEC)
        os.close(unread)
        self.error: BaseException | None = None
        self._source = source
        self._stop = stop
        self._leave = leave
        self._finished = False
        self._thread = Thread(target=self._run, name="source", daemon=True)

    def start(self) -> None:
        start_thread(self._thread)

    def ask_to_end(self) -> None:
        """Ask the source to end; the events that it has written are still read."""
        self._stop.set()

    def finish(self) -> None:
        """Ask the source to end, now that its pipe has no reader; wait until it has ended."""
        if self._finished:
            return
        self._finished = True
        os.close(self.fd)  # Ends a source that waits in a write: its pipe has no reader any more.
        self._stop.set()
        self._thread.join(self._leave)
        if self._thread.is_alive():
            _log.warning("the source has not ended within %g s and is abandoned", self._leave)

    def _run(self) -> None:
        try:
            self._source.run(LineWriter(self._writing), self._stop)
        except ReaderGone:
            pass  # The pool has ended, and reports the reason itself.
        except BaseException as error:  # noqa: BLE001  it is raised in the main thread
            self.error = error
        # A thread of the source may be stuck with this descriptor. So its number stays in use, for
        # a pipe without a reader, while the pool reads this pipe to its end.
        os.dup2(self._unread, self._writing, inheritable=False)
        os.close(self._unread)


class _Later:
    """A Stop that is set a given time after another Stop; its thread ends with `close`."""

    def __init__(self, first: Stop, seconds: float) -> None:
        self.stop = Stop()
        self._ending = Stop()
        self._first = first
        self._seconds = seconds
        self._thread = Thread(target=self._run, name="drain", daemon=True)
        start_thread(self._thread)

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self._ending.close()

    def _run(self) -> None:
        wait(self._first, self._ending)
        if not self._ending.wait(self._seconds if self._first.is_set() else 0):
            self.stop.set()
