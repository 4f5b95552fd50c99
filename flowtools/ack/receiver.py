"""Acknowledgement through a pipe, the source's side: a socket to which other processes connect.

A process that finishes events connects once, when it sees the first line of this source, and sends
packets of records (records.py). The connection also shows that the process is alive. A process
that has settled everything it took says `bye`. If a connection ends without `bye`, the process was
killed or stopped early, and nobody will settle the events that it took. GRACE seconds later the
source is told that acknowledgements are lost. It ends its session, and the broker delivers again
what was not settled; writing these lines also reveals a dead reader behind a filter. GRACE is there
for the ordinary end of a pipeline, where the source learns from its own stdout that its reader has
gone. A command that learns in another way that a process has gone says so with `miss`.

If two connections settle the same event, its line was copied, by `tee` or from a recording. The
first verdict counts. Events of the other copy can then be lost, so an error is logged.

One thread accepts and reads; `start` starts it, `close` joins it. That thread also checks that the
socket still exists, since a job that cleans up temporary files may remove it. The socket is then
made again under the same name, or in a new directory if that is not possible.
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
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import Wake
from flowtools.process.vitals import vitals

LOOK_EVERY = 10.0
"""Seconds between two checks of the socket's file and of the window."""

GRACE = 1.0
"""Seconds from a connection's end without `bye` until acknowledgements count as lost."""

JOINS = 0.25
"""Seconds after the end of a reader in which a process may connect that has just read a line."""

REMEMBERED = 50_000
"""Maximum number of settled events for which the settling connection is remembered."""

_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = get_log("flowtools.ack")


def new_epoch() -> str:
    """Return a random name that cannot be guessed, for the acknowledgements of one session."""
    return secrets.token_urlsafe(9)


def nothing_held() -> int:
    """Return 0: the window has room. The default for `held`."""
    return 0


def nothing_lost(reason: str) -> None:
    """Do nothing. The default for `lost`."""


class AckInlet(Protocol):
    """Receives acknowledgements for a source."""

    @property
    def stall(self) -> Stall:
        """The watch for a pipeline that stands still."""

    def ackto(self, epoch: str) -> str:
        """Begin `epoch`; return the prefix of its `ackto`s, to which an event's number is added."""

    @property
    def is_attended(self) -> bool:
        """Whether a process is connected, or may be about to connect."""

    def await_last(self) -> None:
        """From now on, count acknowledgements as lost only when the last process has gone.

        Call it when nothing more is written. One process that ends early must then not prevent
        the others from settling what they took.
        """

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
            receive: Called with each batch of acknowledgements, at least one.
            lost: Called with the reason when acknowledgements may never come. The unacknowledged
                events then have to be delivered again, in a new epoch.
            held: Returns the number of unacknowledged events if the window is full, otherwise 0.
            in_flight: Returns the unacknowledged events by their numbers, for the figures of the
                command.
        """

    def close(self) -> None:
        """Hand on what has arrived so far, and end; a second call does nothing."""


class AckSocket:
    """Receives acknowledgements and hands them on, a batch at a time.

    Attributes:
        path: The path of the socket.
        malformed: Number of lines that were not records.
        copied: Number of events that two processes have settled.
        stall: The watch for a pipeline that stands still.
    """

    def __init__(self) -> None:
        """Make the socket.

        Raises:
            ConfigurationError: There is no safe directory for the socket, or it cannot be made.
        """
        self.malformed = 0
        self.copied = 0
        self.stall = Stall()
        self._figures = ExitStack()
        self._receive: Callable[[list[Ack]], None] = _drop
        self._lost: Callable[[str], None] = nothing_lost
        self._held: Callable[[], int] = nothing_held
        self._thread: Thread | None = None
        self._ending, self._news = Wake(), Wake()
        self._missed = ""
        self._ready = select.epoll()
        self._place = Place()
        self._listening = self._place.listen()
        self._ready.register(self._ending, select.EPOLLIN)
        self._ready.register(self._news, select.EPOLLIN)
        self._ready.register(self._listening, select.EPOLLIN)
        self._connections: dict[int, Connection] = {}
        # The epoch and its settled events, in one object: another thread replaces both at once.
        self._settled: tuple[str, dict[int, Connection]] = ("", {})
        self._vanished: tuple[float, str] | None = None
        self._joins_until: float | None = None
        self._look_at = monotonic() + LOOK_EVERY
        self._ages = Ages()
        self._in_flight: Callable[[], Mapping[int, object]] = dict
        self._has_warned = self._is_short = self._is_closed = False

    @property
    def path(self) -> str:
        """The path of the socket."""
        return self._place.path

    @property
    def is_attended(self) -> bool:
        """Whether a process is connected, or may be about to connect; any thread may ask."""
        return bool(self._connections) or monotonic() < (self._joins_until or 0.0)

    def await_last(self) -> None:
        """From now on, count acknowledgements as lost only when the last process has gone."""
        self._joins_until = self._joins_until or monotonic() + JOINS

    def ackto(self, epoch: str) -> str:
        """Begin `epoch`; return the prefix of its `ackto`s, to which an event's number is added."""
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

        AckInlet.start describes the arguments. Until `close`, `vitals` provides the figures.
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
        start_thread(self._thread)

    def miss(self, reason: str) -> None:
        """Note that a process which takes events has gone; any thread may call this.

        `reason` names the process. The loss counts like a connection that ends without `bye`. If
        one does so within GRACE, the two are reported as one loss.
        """
        self._missed = reason
        self._news.ring()

    def close(self) -> None:
        """Hand on what has arrived so far, end the thread and remove the socket."""
        if self._is_closed:
            return
        self._is_closed = True
        self._figures.close()
        self._ending.ring()
        if self._thread is not None:
            self._thread.join()  # First: its last round reads what has arrived.
        for each in self._connections.values():
            each.close()
        self._listening.close()
        self._ready.close()
        self._ending.close()
        self._news.close()
        self._place.remove()
        if self.malformed:
            _log.warning(
                "%s came that the acknowledgement socket does not understand",
                counted(self.malformed, "line"),
            )
        if self.copied > 1:
            _log.error("%d events were settled by two processes", self.copied)

    def _run(self) -> None:
        ending = False
        while not ending:
            ready = {fd for fd, _ in self._ready.poll(self._pause())}
            ending = self._ending.fileno() in ready
            if self._listening.fileno() in ready:
                self._accept()
            if self._news.fileno() in ready:
                self._news.clear()
                self._note_loss(self._missed)
            # At the end, read everything that any process has sent: it may already have exited.
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
                # Out of descriptors. Nothing is lost meanwhile: a process that waits to be
                # accepted can already send its records, and exit.
                if error.errno not in _NO_DESCRIPTOR:
                    raise
                if not self._is_short:
                    _log.warning("cannot take acknowledgements: %s; trying again", error.strerror)
                self._is_short = True
                # The socket stays readable, so that without a wait the thread would spin.
                self._ending.wait(0.2)
                return
            connection = Connection(accepted)
            if connection.is_foreign:
                _log.warning("refused %s, which belongs to another user", connection.who)
                connection.close()
                continue
            self._is_short = False
            self._connections[connection.fileno()] = connection
            self._ready.register(connection, select.EPOLLIN)

    def _read(self, ready: "set[int] | list[int]") -> bool:
        """Read from the connections among `ready`; return whether anything has arrived."""
        acks: list[Ack] = []
        ended: list[Connection] = []
        for fd in ready:
            connection = self._connections.get(fd)
            if connection is None:
                continue
            said = connection.read()
            self.malformed += said.malformed
            self._find_copies(said.acks, connection)
            acks += said.acks
            if connection.has_ended:
                ended.append(connection)
        if acks:
            self.stall.moved()
            try:
                self._receive(acks)
            except Exception:  # noqa: BLE001  the top of a thread
                _log.exception("internal error while acknowledging")
        # Last: whoever sees that nobody is connected any more must find everything settled.
        for connection in ended:
            self._part_from(connection)
        return bool(acks or ended)

    def _part_from(self, connection: Connection) -> None:
        del self._connections[connection.fileno()]
        self._ready.unregister(connection)
        connection.close()
        if not connection.said_bye:
            self._note_loss(f"{connection.who} ended before it had settled all it took")

    def _note_loss(self, reason: str) -> None:
        # Only the first counts. Otherwise processes that keep vanishing would put it off for ever.
        if self._vanished is None:
            self._vanished = (monotonic() + GRACE, reason)

    def _find_copies(self, acks: list[Ack], connection: Connection) -> None:
        """Count those events among `acks` that another connection has already settled."""
        epoch, settled = self._settled
        for ack in acks:
            if ack.epoch != epoch:
                continue  # A late one. The event was delivered again, and may be settled again.
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
            # In place: another thread may have begun a new epoch with a dictionary of its own.
            for number in [*settled][: REMEMBERED // 2]:
                del settled[number]

    def _look(self, now: float) -> None:
        """Report lost acknowledgements once GRACE is over; check the socket and the window."""
        if self._vanished is not None and now >= self._vanished[0]:
            _, reason = self._vanished
            self._vanished = None
            if self._joins_until is not None and self._connections:
                self._note_loss(reason)  # Look again after another GRACE.
            else:
                self._lost(reason)
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            if not os.path.lexists(self.path):
                self._make_again()
            self.stall.look(self._held(), now)
            self._ages.look(self._in_flight(), now)

    def _make_again(self) -> None:
        """Make the socket again, there or elsewhere; report that acknowledgements may be lost.

        Existing connections continue. But a process that could not connect meanwhile has dropped
        its acknowledgements.
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
            "the acknowledgement socket '%s' was removed, and has been made again%s; exclude it"
            " from automatic clean-up",
            self.path,
            "" if is_same else f" as '{place.path}'",
        )
        with suppress(OSError):
            self._ready.unregister(self._listening)
        self._listening.close()
        self._place, self._listening = place, listening
        self._ready.register(listening, select.EPOLLIN)
        # Last, because it begins a new epoch, whose `ackto` must name the new place.
        self._lost("its acknowledgement socket had been removed")


def _drop(acks: list[Ack]) -> None:
    """Ignore acknowledgements that arrive before `start`."""
