"""Acknowledgement through a pipe, the side of the process that finishes events.

AckSender connects once to each source whose lines it sees. The connection tells that source that
its events are being processed (receiver.py), and the acknowledgements go through it. Many records
share a packet.

One thread sends, so that a thread that finishes an event never waits for a source. Records that a
frozen source does not take are kept until it does. The thread starts with the first line that has
an `ackto`; `close` ends and joins it.
"""

import errno
import re
import time
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from threading import Event as Flag
from threading import Lock, Thread
from typing import TYPE_CHECKING

from flowtools.ack.records import BYE, MAX_PACKET, Reason, parse_ackto
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.threads import start_thread
from flowtools.core.wait import wait

if TYPE_CHECKING:
    import socket

PAUSE = 0.002
"""Seconds between two packets when several acknowledgements were waiting: more share a packet."""

RETRY = 0.02
"""Seconds until a source that takes nothing is tried again."""

OPEN_AGAIN = 0.2
"""Seconds until a connection is tried again after the process was out of descriptors."""

BARE_BLOCKS = 64
"""Number of blocks without `ackto` after which only the last _END bytes of a block are searched."""

_END = 4096
_NAME = b'"ackto"'
_PATH = re.compile(rb'"ackto"\s*:\s*"unix:(/[^"#\\\0]*)#')
_BREAK = ""
"""Stands for a path in the queue and means: break off all connections."""

_FULL = {errno.EAGAIN, errno.ENOBUFS}
_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}

_log = get_log("flowtools.ack")


class AckSender:
    """Sends acknowledgements, many to a packet. Any thread may call any method but `close`.

    An acknowledgement is sent within 50 ms. If its source is frozen, it is kept until the source
    takes it. If its source is gone, it is counted and dropped: that event counts as
    not done.
    """

    def __init__(self) -> None:
        self._given: deque[tuple[str, bytes]] = deque()
        self._seen: set[str] = set()
        self._bare_blocks = 0
        self._sources: dict[str, _Source] = {}
        self._thread: Thread | None = None
        self._starting = Lock()
        self._asleep = False
        self._wake = Flag()
        self._closes_at: float | None = None
        self._says_bye = False
        self._lost = 0
        self._has_warned = False

    @property
    def lost(self) -> int:
        """Number of acknowledgements whose source was gone."""
        return self._lost

    def see(self, block: bytes) -> None:
        """Note that this process has read `block`, a piece of its input; never waits.

        The source of the block's last line with an `ackto` learns that its events were taken.
        After BARE_BLOCKS blocks without any, such a line may be missed unless it is near the end
        of the block. So call `see` again with the line itself when it is taken.
        """
        # `rfind` is far quicker than a regular expression in a block that has no `ackto`.
        at = block.rfind(_NAME, -_END if self._bare_blocks >= BARE_BLOCKS else 0)
        self._bare_blocks = 0 if at >= 0 else self._bare_blocks + 1
        found = _PATH.match(block, at) if at >= 0 else None
        if found is not None:
            path = found[1].decode("utf-8", "surrogateescape")
            if path not in self._seen:
                self._seen.add(path)
                self._give(path, b"")

    def ack(self, ackto: str) -> None:
        """Tell the source that the event is done; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        path, token = parse_ackto(ackto)
        self._give(path, f"{token} ack\n".encode())

    def nack(self, ackto: str, reason: Reason | None = None) -> None:
        """Tell the source that the event has failed permanently, and why; never waits.

        Raises:
            AckError: `ackto` is malformed.
        """
        path, token = parse_ackto(ackto)
        why = b"" if reason is None else b" " + reason.encode()
        self._give(path, b"%b nack%b\n" % (token.encode(), why))

    def break_off(self) -> None:
        """End every connection without `bye`, so that the sources deliver again; never waits.

        The next line that is seen or settled opens a new connection.
        """
        self._give(_BREAK, b"")

    def close(self, seconds: float = 5.0, *, bye: bool = True) -> None:
        """Send what is left, for up to `seconds`; end the thread and join it.

        Args:
            seconds: How long a frozen source has to take what is left.
            bye: Whether every event that was read has been settled. If not, each source
                delivers its unsettled events again.
        """
        with self._starting:
            self._says_bye = bye
            self._closes_at = time.monotonic() + seconds
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join(seconds + 1)
        elif self._given:
            self._run()  # The thread could not be started.

    def _give(self, path: str, record: bytes) -> None:
        # No record is overlooked: `_sleep` sets `_asleep` first and then checks `_given` again.
        self._given.append((path, record))
        if self._asleep or self._thread is None:
            self._rouse()

    def _rouse(self) -> None:
        self._wake.set()
        # Two threads may finish the first two events at once; only one may start the thread.
        with self._starting:
            if self._thread is None and self._closes_at is None:
                thread = Thread(target=self._run, name="ack-sender", daemon=True)
                try:
                    start_thread(thread)
                except RuntimeError as error:
                    # The next record tries again; at the end `close` sends by itself.
                    self._warn(error)
                else:
                    self._thread = thread

    def _run(self) -> None:
        while True:
            # Looked at before collecting: what was given before `close` must come before `bye`.
            closing = self._closes_at is not None
            several = self._collect()
            if closing and self._says_bye:
                for each in self._sources.values():
                    each.say_bye()
            waiting = [each for each in self._sources.values() if not self._send(each)]
            if self._time_is_up() or (closing and not waiting and not self._given):
                break
            if waiting:
                _await_room(waiting)
            elif several:
                time.sleep(PAUSE)
            elif not self._given:
                self._sleep()
        self._collect()
        self._report()
        for each in self._sources.values():
            each.close()

    def _sleep(self) -> None:
        self._wake.clear()
        self._asleep = True
        if not self._given and self._closes_at is None:
            self._wake.wait()
        self._asleep = False

    def _time_is_up(self) -> bool:
        return self._closes_at is not None and time.monotonic() >= self._closes_at

    def _collect(self) -> bool:
        """Move each given record to its source; return whether there were several."""
        several = len(self._given) > 1
        while self._given:
            path, record = self._given.popleft()
            if path == _BREAK:
                self._break_off()
                continue
            source = self._sources.get(path)
            if source is None:
                source = self._sources[path] = _Source(path)
            source.add(record)
        return several

    def _break_off(self) -> None:
        for each in self._sources.values():
            # Not counted as lost: the sources deliver all unsettled events again.
            each.drop()
            each.close()
        self._sources.clear()
        self._seen.clear()  # So that the next line of a source connects to it again.

    def _send(self, source: "_Source") -> bool:
        """Send the records for `source`; return False if that has to be tried again."""
        if not source.has_news:
            return True
        try:
            return source.send()
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                self._count_lost(source, error)
                return True
            # Out of descriptors: a Worker may be about to close some, so try again.
            self._warn(error)
            time.sleep(OPEN_AGAIN)
            return False

    def _warn(self, error: Exception) -> None:
        if not self._has_warned:
            _log.warning("cannot acknowledge: %s; trying again", error)
        self._has_warned = True

    def _count_lost(self, source: "_Source", error: OSError) -> None:
        number = source.drop()
        if number and not self._lost:
            _log.warning(
                "cannot acknowledge to '%s': %s; those events count as not done",
                source.path,
                error.strerror or error,
            )
        self._lost += number

    def _report(self) -> None:
        left = sum(each.drop() for each in self._sources.values())
        if left:
            _log.warning(
                "gave up on %s: the source does not take more", counted(left, "acknowledgement")
            )
        if self._lost > 1:
            _log.warning(
                "%s were not delivered: their source has ended",
                counted(self._lost, "acknowledgement"),
            )
        self._lost += left


class _Source:
    """One source and the records that it has not yet taken; only the sending thread uses it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.has_news = False
        self._records: deque[bytes] = deque()
        self._connection: socket.socket | None = None
        self._says_bye = False

    def add(self, record: bytes) -> None:
        """Queue a record; an empty one only makes `send` open the connection."""
        if record:
            self._records.append(record)
        self.has_news = True

    def say_bye(self) -> None:
        """Queue `bye` as the last record, if there is a connection or there will be one."""
        if not self._says_bye and (self._connection is not None or self._records):
            self._says_bye = True
            self.add(BYE)

    def drop(self) -> int:
        """Discard the queued records; return how many acknowledgements were among them."""
        # `bye` is the last record, if it has not been sent, and is not an acknowledgement.
        number = len(self._records) - (self._says_bye and bool(self._records))
        self._records.clear()
        self.has_news = False
        return number

    def send(self) -> bool:
        """Send the queued records; return whether all were taken.

        Raises:
            OSError: The source is gone, or the process is out of descriptors.
        """
        try:
            return self._send_records()
        except (BrokenPipeError, ConnectionResetError):
            # The source has made its socket again, or it has ended and connecting fails.
            self.close()
            return self._send_records()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def fileno(self) -> int:
        """Return the descriptor to poll for writing; -1 if there is no connection."""
        return -1 if self._connection is None else self._connection.fileno()

    def _send_records(self) -> bool:
        try:
            if self._connection is None:
                self._connection = _connected(self.path)
            while self._records:
                packet = _take_packet(self._records)
                try:
                    # SOCK_SEQPACKET takes a packet as a whole or not at all.
                    self._connection.send(b"".join(packet))
                except OSError:
                    self._records.extendleft(reversed(packet))
                    raise
        except OSError as error:
            if error.errno in _FULL:
                return False
            raise
        self.has_news = False
        return True


def _connected(path: str) -> "socket.socket":
    import socket  # Imported late: a pipeline that acknowledges nothing starts quicker.

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _await_room(sources: "Iterable[_Source]") -> None:
    """Wait until one of `sources` takes more, for at most RETRY: others may be ready sooner."""
    with suppress(OSError):
        wait(writable=[each for each in sources if each.fileno() >= 0], seconds=RETRY)


def _take_packet(records: deque[bytes]) -> list[bytes]:
    taken = [records.popleft()]
    size = len(taken[0])
    while records and size + len(records[0]) <= MAX_PACKET:
        size += len(records[0])
        taken.append(records.popleft())
    return taken
