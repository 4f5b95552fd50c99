"""Acknowledgement through a pipe, the sending side: who finishes an event says so.

An event line's `ackto` is `unix:PATH#EPOCH.N`: the datagram socket of the source that
wrote it (receiver.py), and the token of the event there. An acknowledgement is
a line `EPOCH.N ack` or `EPOCH.N nack`; a datagram holds as many as there are.

One thread sends, so no thread that finishes an event ever waits for a source: Linux
queues ten datagrams for a receiver (512 under systemd), and a frozen one fills that at
once. What is queued counts against the buffer of the socket that sent it, too: a frozen
source gets that socket for itself, and the others a new one. AckSender starts the thread at
the first acknowledgement; `close` ends and joins it.
"""

import errno
import re
import time
from collections import deque
from threading import Event as Flag
from threading import Lock, Thread
from typing import TYPE_CHECKING

from flowtools.core.log import get_log

if TYPE_CHECKING:
    import socket

MAX_DATAGRAM = 8000
"""Bytes of a datagram; those that a Unix socket takes are limited by its send buffer."""

PAUSE = 0.002
"""Seconds between datagrams where acknowledgements come faster than one by one."""

RETRY = 0.02
"""Seconds until a receiver whose queue is full is tried again."""

OPEN_AGAIN = 0.2
"""Seconds until the socket to send from is tried again, where there was no descriptor."""

_ACKTO = re.compile(r"unix:(/[^\0\ud800-\udfff]*)#([A-Za-z0-9_-]{1,64}\.[0-9]{1,20})")
_FULL = {errno.EAGAIN, errno.ENOBUFS}

_log = get_log("flowtools.ack")


class AckError(ValueError):
    """An `ackto` is not of the form unix:PATH#EPOCH.N."""


def parse_ackto(ackto: object) -> tuple[str, str]:
    """Return the socket's path and the event's token.

    Raises:
        AckError: It is none.
    """
    found = _ACKTO.fullmatch(ackto) if isinstance(ackto, str) else None
    if found is None:
        raise AckError(f"cannot acknowledge '{ackto}': an ackto is unix:PATH#EPOCH.N")
    return found[1], found[2]


class AckSender:
    """Sends acknowledgements, many to a datagram; any thread may call `ack` and `nack`.

    An acknowledgement is on its way within 50 ms unless its source is frozen; then it is
    kept until the source takes it. One whose source is gone is counted and dropped: the
    broker delivers that message again, to another.
    """

    def __init__(self) -> None:
        self._given: deque[tuple[str, str]] = deque()
        self._pending: dict[str, deque[bytes]] = {}
        self._thread: Thread | None = None
        self._starting = Lock()
        self._asleep = False
        self._wake = Flag()
        self._closes_at: float | None = None
        self._lost = 0

    @property
    def lost(self) -> int:
        """How many acknowledgements found no source."""
        return self._lost

    def ack(self, ackto: str) -> None:
        """Say that the event is done; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        self._give(ackto, "ack")

    def nack(self, ackto: str) -> None:
        """Say that the event is refused for good; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        self._give(ackto, "nack")

    def close(self, seconds: float = 5.0) -> None:
        """Send what is left, for up to `seconds`; end the thread and join it."""
        with self._starting:
            self._closes_at = time.monotonic() + seconds
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(seconds + 1)
        elif self._given:
            self._run()  # The thread could not be started.

    def _give(self, ackto: str, verdict: str) -> None:
        path, token = parse_ackto(ackto)
        # The thread looks here once more after it has said that it sleeps.
        self._given.append((path, f"{token} {verdict}\n"))
        if self._asleep or self._thread is None:
            self._rouse()

    def _rouse(self) -> None:
        self._wake.set()
        with self._starting:
            if self._thread is None and self._closes_at is None:
                self._thread = Thread(target=self._run, name="ack-sender", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        outlet = self._open_outlet()
        if outlet is not None:
            outlets = _Outlets(outlet)
            self._serve(outlets)
            outlets.close()
        self._collect()
        self._report()

    def _serve(self, outlets: "_Outlets") -> None:
        while True:
            several = self._collect()
            if self._pending:
                full = self._send_pending(outlets)
                if self._time_is_up():
                    break
                if several or full:
                    time.sleep(RETRY if full else PAUSE)
            elif self._closes_at is not None:
                break
            else:
                self._sleep()

    def _open_outlet(self) -> "socket.socket | None":
        """Return a socket to send from; None where there is none until the time is up."""
        warned = False
        while True:
            try:
                return _new_outlet()
            except (OSError, ImportError) as error:
                # Out of descriptors: a Worker may be about to give some back.
                if not warned:
                    _log.warning("cannot acknowledge: %s; trying again", error)
                warned = True
                if self._time_is_up():
                    return None
                time.sleep(OPEN_AGAIN)

    def _sleep(self) -> None:
        self._wake.clear()
        self._asleep = True
        if not self._given and self._closes_at is None:
            self._wake.wait()
        self._asleep = False

    def _time_is_up(self) -> bool:
        return self._closes_at is not None and time.monotonic() >= self._closes_at

    def _collect(self) -> bool:
        """Move what was given to the list of its source; return whether it was several."""
        several = len(self._given) > 1
        while self._given:
            path, line = self._given.popleft()
            self._pending.setdefault(path, deque()).append(line.encode())
        return several

    def _send_pending(self, outlets: "_Outlets") -> bool:
        """Send to every source; return whether one could not take all of it now."""
        full = False
        for path, lines in list(self._pending.items()):
            if self._send_to(outlets.of(path), path, lines):
                del self._pending[path]
                outlets.share(path)
            else:
                outlets.set_apart(path)
                full = True
        return full

    def _send_to(self, outlet: "socket.socket", path: str, lines: deque[bytes]) -> bool:
        while lines:
            datagram = _take_datagram(lines)
            try:
                outlet.sendto(b"".join(datagram), path)
            except OSError as error:
                if error.errno in _FULL:
                    lines.extendleft(reversed(datagram))
                    return False
                self._count_lost(path, len(datagram) + len(lines), error)
                lines.clear()
        return True

    def _count_lost(self, path: str, number: int, error: OSError) -> None:
        if not self._lost:
            _log.warning(
                "cannot acknowledge to '%s': %s; the broker will deliver those events again",
                path,
                error.strerror or error,
            )
        self._lost += number

    def _report(self) -> None:
        left = sum(map(len, self._pending.values()))
        if left:
            _log.warning("gave up on %d acknowledgements: their source does not take them", left)
        if self._lost > 1:
            _log.warning("%d acknowledgements found no source", self._lost)
        self._lost += left
        self._pending.clear()


class _Outlets:
    """The sockets to send from: one for all sources but those that take nothing now."""

    def __init__(self, shared: "socket.socket") -> None:
        self._shared = shared
        self._apart: dict[str, socket.socket] = {}

    def of(self, path: str) -> "socket.socket":
        return self._apart.get(path, self._shared)

    def set_apart(self, path: str) -> None:
        """Let `path` have the socket that it has filled; where there is no other, it stays."""
        if path in self._apart:
            return
        try:
            fresh = _new_outlet()
        except OSError:
            return
        self._apart[path] = self._shared
        self._shared = fresh

    def share(self, path: str) -> None:
        """Let `path`, which takes what is sent, be one of many again."""
        if path in self._apart:
            self._apart.pop(path).close()

    def close(self) -> None:
        for each in (self._shared, *self._apart.values()):
            each.close()


def _new_outlet() -> "socket.socket":
    import socket  # Whoever acknowledges nothing starts quicker without it.

    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def _take_datagram(lines: deque[bytes]) -> list[bytes]:
    taken = [lines.popleft()]
    size = len(taken[0])
    while lines and size + len(lines[0]) <= MAX_DATAGRAM:
        size += len(lines[0])
        taken.append(lines.popleft())
    return taken
