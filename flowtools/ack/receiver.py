"""Acknowledgement through a pipe, the source's side: a socket of our own that others connect to.

Whoever finishes events connects once, when it sees the first line of this source, and sends
packets of records (records.py). The connection is also a *presence*. A process that has settled
all it took says `bye`. One whose connection ends without that has taken events which nobody will
settle: it was killed, or it stopped early. A moment later the source is told that acknowledgements
are lost, ends its session, and the broker delivers again what was outstanding; writing that finds
a dead reader behind a filter, too. The moment (GRACE) is for the ordinary end of a pipeline, where
the source learns from its own stdout that its reader has gone.

An event that two connections settle has been copied: `tee`, or a replayed recording. The first
verdict counts, so events of the other copy can be lost, and this is said.

One thread accepts and reads; `start` starts it, `close` joins it. That thread also looks whether
the socket is still at its place, since whoever cleans up a directory may remove it: it is then
made again there, or in a new directory where that is not possible.
"""

import errno
import os
import secrets
import select
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from threading import Thread
from time import monotonic
from typing import Protocol

from flowtools.ack.ages import Ages
from flowtools.ack.connection import Connection
from flowtools.ack.place import Place
from flowtools.ack.records import Ack
from flowtools.ack.stall import Stall
from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log
from flowtools.core.wait import Wake
from flowtools.process.vitals import vitals

LOOK_EVERY = 10.0
"""Seconds between two looks at the socket's place and at the window."""

GRACE = 1.0
"""Seconds from a connection's end without `bye` until acknowledgements count as lost."""

REMEMBERED = 50_000
"""Settled events of which is known who settled them."""

_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = get_log("flowtools.ack")


def new_epoch() -> str:
    """Return a token that nobody can guess, for the acknowledgements of one connection."""
    return secrets.token_urlsafe(9)


def nothing_held() -> int:
    """Say that the window has room."""
    return 0


def nothing_lost(reason: str) -> None:
    """Do nothing about lost acknowledgements."""


class AckInlet(Protocol):
    """Receives acknowledgements for a source."""

    @property
    def stall(self) -> Stall:
        """Whether the pipeline stands still."""

    def ackto(self, epoch: str) -> str:
        """Begin `epoch`; return what `ackto` begins with; the event's number completes it."""

    def start(
        self,
        receive: Callable[[list[Ack]], None],
        *,
        lost: Callable[[str], None] = nothing_lost,
        held: Callable[[], int] = nothing_held,
        in_flight: Callable[[], Mapping[int, object]] | None = None,
    ) -> None:
        """Hand each batch of acknowledgements to `receive`, in another thread.

        Args:
            receive: Is given acknowledgements, at least one.
            lost: Is told why acknowledgements may never come: what is unacknowledged has to be
                delivered again, in a new epoch.
            held: Returns how many events are unacknowledged where no further one may be (the
                window is full), otherwise 0.
            in_flight: Returns the unacknowledged events by their numbers, for the figures of the
                command.
        """

    def close(self) -> None:
        """Hand on what has come so far, and end; a second time does nothing."""


class AckSocket:
    """Receives acknowledgements and hands them on, a batch at a time.

    Attributes:
        path: The socket.
        malformed: How many lines were not records.
        copied: How many events have been settled by two processes.
        stall: Whether the pipeline stands still.
    """

    def __init__(self) -> None:
        """Make the socket.

        Raises:
            ConfigurationError: There is no place for it.
        """
        self.malformed = 0
        self.copied = 0
        self.stall = Stall()
        self._figures = ExitStack()
        self._receive: Callable[[list[Ack]], None] = _drop
        self._lost: Callable[[str], None] = nothing_lost
        self._held: Callable[[], int] = nothing_held
        self._thread: Thread | None = None
        self._ending = Wake()
        self._ready = select.epoll()
        self._place = Place()
        self._listening = self._place.listen()
        self._ready.register(self._ending, select.EPOLLIN)
        self._ready.register(self._listening, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        self._settled: tuple[str, dict[int, Connection]] = ("", {})
        self._vanished: tuple[float, str] | None = None
        self._look_at = monotonic() + LOOK_EVERY
        self._ages = Ages()
        self._in_flight: Callable[[], Mapping[int, object]] = dict
        self._has_warned = self._is_short = self._is_closed = False

    @property
    def path(self) -> str:
        """The socket."""
        return self._place.path

    def ackto(self, epoch: str) -> str:
        """Begin `epoch`; return what `ackto` begins with; the event's number completes it."""
        self._settled = (epoch, {})
        return f"unix:{self.path}#{epoch}."

    def start(
        self,
        receive: Callable[[list[Ack]], None],
        *,
        lost: Callable[[str], None] = nothing_lost,
        held: Callable[[], int] = nothing_held,
        in_flight: Callable[[], Mapping[int, object]] | None = None,
    ) -> None:
        """Hand each batch of acknowledgements to `receive`, in a thread of its own.

        See AckInlet for the others. Until `close`, `vitals` has the figures.
        """
        self._receive, self._lost, self._held = receive, lost, held
        self._figures.enter_context(vitals.providing(copied=lambda: self.copied))
        if held is not nothing_held:  # A relay has no window, and its process may have another.
            seconds = vitals.providing(stalled_seconds=lambda: self.stall.seconds)
            self._figures.enter_context(seconds)
        if in_flight is not None:
            self._in_flight = in_flight
            figures = vitals.providing(
                in_flight=lambda: len(in_flight()),
                oldest_seconds=lambda: self._ages.oldest(in_flight()),
            )
            self._figures.enter_context(figures)
        self._look_at = monotonic() + LOOK_EVERY
        self._thread = Thread(target=self._run, name="ack-socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what has come so far, end the thread and remove the socket."""
        if self._is_closed:
            return
        self._is_closed = True
        self._figures.close()
        self._ending.ring()
        if self._thread is not None:
            self._thread.join()
        for each in self._connections.values():
            each.close()
        self._listening.close()
        self._ready.close()
        self._ending.close()
        self._place.remove()
        if self.malformed:
            _log.warning("%d lines at the socket were no acknowledgement", self.malformed)
        if self.copied > 1:
            _log.error("%d events were settled by two processes", self.copied)

    def _run(self) -> None:
        ending = False
        while not ending:
            ready = {fd for fd, _ in self._ready.poll(self._pause())}
            ending = self._ending.fileno() in ready
            if self._listening.fileno() in ready:
                self._accept()
            # At the end everything that is there is read, whoever it is from.
            while self._read([*self._connections] if ending else ready) and ending:
                self._accept()
            try:
                self._look(monotonic())
            except Exception:  # noqa: BLE001  the top of a thread
                _log.exception("internal error while looking after acknowledgements")

    def _pause(self) -> float:
        due = self._look_at if self._vanished is None else min(self._look_at, self._vanished[0])
        return max(0.0, due - monotonic()) + 0.001

    def _accept(self) -> None:
        """Accept every connection that waits."""
        while True:
            try:
                accepted, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Out of descriptors; who waits has sent its records already, and can go.
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                if not self._is_short:
                    _log.warning("cannot take acknowledgements: %s; trying again", error.strerror)
                self._is_short = True
                self._ending.wait(0.2)
                return
            connection = Connection(accepted)
            if connection.is_foreign:
                _log.warning("%s, of another user, was refused", connection.who)
                connection.close()
                continue
            self._is_short = False
            self._connections[connection.fileno()] = connection
            self._ready.register(connection, select.EPOLLIN)

    def _read(self, ready: "set[int] | list[int]") -> bool:
        """Read from the connections among `ready`; return whether something has come."""
        acks: list[Ack] = []
        moved = False
        for fd in ready:
            connection = self._connections.get(fd)
            if connection is None:
                continue
            said = connection.read()
            self.malformed += said.malformed
            self._find_copies(said.acks, connection)
            acks += said.acks
            moved = moved or bool(said.acks) or connection.has_ended
            if connection.has_ended:
                self._part_from(connection)
        if acks:
            self.stall.moved()
            try:
                self._receive(acks)
            except Exception:  # noqa: BLE001  the top of a thread
                _log.exception("internal error while acknowledging")
        return moved

    def _part_from(self, connection: Connection) -> None:
        del self._connections[connection.fileno()]
        self._ready.unregister(connection)
        connection.close()
        if not connection.said_bye:
            due = monotonic() + GRACE
            self._vanished = (due, f"{connection.who} ended before it had settled all it took")

    def _find_copies(self, acks: list[Ack], connection: Connection) -> None:
        """Count the events among `acks` that another connection has settled before."""
        epoch, settled = self._settled
        for ack in acks:
            if ack.epoch != epoch:
                continue
            first = settled.setdefault(ack.number, connection)
            if first is connection:
                continue
            self.copied += 1
            if self.copied == 1:
                _log.error(
                    "an event was settled twice, by %s and by %s: its line has been copied, by"
                    " tee or a replayed recording. Only the first verdict counts, and events can"
                    " be lost: copy with flow-tee, or let the copy be read by flow-work --no-ack",
                    first.who,
                    connection.who,
                )
        if len(settled) > REMEMBERED:
            self._settled = (epoch, dict([*settled.items()][REMEMBERED // 2 :]))

    def _look(self, now: float) -> None:
        """Tell of lost acknowledgements when it is time; look after the socket and the window."""
        if self._vanished is not None and now >= self._vanished[0]:
            _, reason = self._vanished
            self._vanished = None
            self._lost(reason)
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            if not os.path.lexists(self.path):
                self._make_again()
            self.stall.look(self._held(), now)
            self._ages.look(self._in_flight(), now)

    def _make_again(self) -> None:
        """Make the socket again, at its place or elsewhere; tell that some may be lost.

        Connections that exist go on. But who came in vain meanwhile has lost what it had to say.
        """
        place, is_same = self._place, self._place.restore()
        try:
            if not is_same:
                place = Place()
            listening = place.listen()
        except ConfigurationError as error:
            if not self._has_warned:
                _log.error("the acknowledgement socket '%s' was removed: %s", self.path, error)
            self._has_warned = True
            return
        self._has_warned = False
        _log.error(
            "the acknowledgement socket '%s' was removed, and has been made again%s; keep whatever"
            " cleans up there away from it",
            self.path,
            "" if is_same else f" as '{place.path}'",
        )
        with suppress(OSError):
            self._ready.unregister(self._listening)
        self._listening.close()
        self._place, self._listening = place, listening
        self._ready.register(listening, select.EPOLLIN)
        self._lost("its acknowledgement socket had been removed")


def _drop(acks: list[Ack]) -> None:
    """Take acknowledgements before `start`."""
