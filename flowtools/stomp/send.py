"""The work of flow-send: a message for each line, each confirmed by the broker's receipt.

A STOMP receipt says that earlier frames have been received, not that they have been processed
(1.2, "RECEIPT"). So every message asks for its own receipt. If the broker's receipt for a COMMIT
covers the whole transaction (dialect.py), a batch of messages shares one.

RabbitMQ closes the connection when a full queue rejects a message (x-overflow: reject-publish), and
the receipts of the messages before it are lost. If the whole window were sent again, the same would
happen again, and the queue would fill with the same messages. So after a lost connection one
message is sent alone, and each receipt allows one more message in flight.

One thread does everything here; the acknowledgements to upstream go through AckSender's thread.
"""

import select
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from math import inf
from time import monotonic

from flowtools.ack.records import AckError, Reason, parse_ackto
from flowtools.ack.sender import AckSender
from flowtools.core.errors import EventsFailed, RefusedError, UsageError
from flowtools.core.event import EventError
from flowtools.core.key import Key, WatchedKey
from flowtools.core.lines import LineReader
from flowtools.core.log import get_log
from flowtools.core.seen import Wrapper
from flowtools.core.text import counted
from flowtools.core.wait import Stop, wait
from flowtools.process.vitals import vitals
from flowtools.stomp.broker import REFUSED_FOR, Broker
from flowtools.stomp.contact import Contact
from flowtools.stomp.frames import Frame, encode_frame, escape
from flowtools.stomp.outgoing import GROUP_HEADER, UNIQUE_HEADER, Outgoing, ackto_of, outgoing
from flowtools.stomp.saying import TROUBLE, error_text, is_passing, whole_text
from flowtools.stomp.session import Session
from flowtools.stomp.settings import Sending, Settings
from flowtools.stomp.transport import ConnectionLost
from flowtools.stomp.url import BrokerURL

BATCH = 1024 * 1024
"""Approximate maximum size of one transaction, in bytes."""

DRAIN = 10.0
"""Seconds to wait for missing receipts after a stop."""

GOODBYE = 5.0
"""Seconds to wait for the receipt of DISCONNECT."""

QUIET = 30.0
"""Seconds without a receipt after which a warning is logged; the next comes after twice as long,
and so on."""

SILENT = 60.0
"""Seconds without a receipt after which another host of the URL is tried, if there is one."""

_log = get_log("flowtools.send")


class Publisher:
    """Sends a message for each line, in order; unconfirmed messages are sent again."""

    def __init__(
        self,
        url: BrokerURL,
        settings: Settings,
        *,
        destination: str | None = None,
        headers: Mapping[str, str] | None = None,
        window: int = Sending.window,
        group_key: Key | WatchedKey | None = None,
        unique: bool = False,
        persistent: bool = Sending.persistent,
        raw: bool = False,
    ) -> None:
        """Prepare to send to `url`.

        Args:
            url: The URL of the broker, with a destination unless `destination` gives one.
            settings: The connection settings.
            destination: The destination of the messages; wins over the URL's.
            headers: Further headers of each message.
            window: Maximum number of unconfirmed messages; this bounds the memory used.
            group_key: The key that gives a message's group.
            unique: Whether to let Artemis drop events that it has already received.
            persistent: Whether messages survive a restart of the broker.
            raw: Whether to send only the data of an event.

        Raises:
            UsageError: Neither `url` nor `destination` names a destination.
        """
        destination = destination or url.destination
        if destination is None:
            raise UsageError("there is no destination: give --destination, or ?destination= in URL")
        self._url = url
        self._settings = settings
        self._headers = {
            "destination": destination,
            # RabbitMQ drops a message that says persistent:false and finds no queue yet.
            **({"persistent": "true"} if persistent else {}),
            **dict(url.parameters),
            **(headers or {}),
        }
        self._window = window
        self._outgoing = partial(
            outgoing, wrapper=Wrapper("flow-send"), raw=raw, group_key=group_key, unique=unique
        )
        self._acks = AckSender()
        self._lines: deque[tuple[int, bytes]] = deque()
        self._unconfirmed: dict[str, Outgoing] = {}
        self._again: deque[Outgoing] = deque()
        self._allowed = window
        hosts = len(url.hosts)
        self._patience = settings.time_to_answer(SILENT if hosts > 1 else inf, hosts)
        self._begin_to_wait()
        self._batches: dict[str, list[Outgoing]] = {}
        self._number = self._failed = self._confirmed = 0
        self._at_end = self._full = self._is_over = False
        self._refused_since: float | None = None
        self._head = b""

    def run(self, fd: int, stop: Stop) -> None:
        """Send the lines read from `fd`, until end of file or `stop`.

        Raises:
            EventsFailed: Some lines could not be sent.
            RefusedError: The broker refuses the login, TLS or the messages.
            UnreachableError: The broker was not reached within `Settings.retry_for`.
            ProtocolError: The other side does not speak STOMP.
        """
        broker = Broker(self._url, self._settings)
        # The reader outlives the sessions. So it gets one descriptor that any of them can wake.
        with select.epoll() as wake, self._shown(broker.contact):
            reader = LineReader(fd, stop, wake=wake.fileno(), tee=self._acks.see)
            vitals.provide_moment(lambda: reader.read_at)
            try:
                while (session := broker.connect(stop)) is not None:
                    wake.register(session.fileno(), select.EPOLLIN)
                    confirmed = self._confirmed
                    try:
                        self._serve(session, reader, stop)
                    except ConnectionLost as error:
                        self._allowed = 1
                        worked = self._confirmed > confirmed
                        broker.note_lost(session, error, worked=worked)
                    else:
                        self._is_over = not self._unconfirmed
                        break
                    finally:
                        session.abort()
            finally:
                self._acks.close(bye=self._is_over and not stop.is_set())
        if self._unconfirmed:
            _log.warning(
                "the broker has not confirmed %s", counted(len(self._unconfirmed), "message")
            )
        if self._failed:
            raise EventsFailed(
                f"{self._failed} of {counted(self._number, 'line', 'was', 'were')} not sent"
            )

    def _shown(self, contact: Contact) -> AbstractContextManager[None]:
        return contact.shown(
            self._headers["destination"],
            events_in=lambda: self._number,
            done=lambda: self._confirmed,
            rejected=lambda: self._failed,
            in_flight=lambda: len(self._unconfirmed),
        )

    def _serve(self, session: Session, reader: LineReader, stop: Stop) -> None:
        self._head = b"".join(
            f"{escape(key, session.version)}:{escape(value, session.version)}\n".encode()
            for key, value in self._headers.items()
        )
        # No receipt for what was sent in an earlier session will come in this one.
        self._batches.clear()
        self._again = deque(self._unconfirmed.values())
        self._begin_to_wait()
        deadline = None
        while True:
            for frame in session.take():
                self._handle(session, frame)
            if stop.is_set():
                self._at_end = True
                self._lines.clear()
                deadline = deadline or monotonic() + DRAIN
            self._full = self._full and self._underway > self._allowed // 2
            if not self._full:
                self._send(session, self._batch(session, reader), stop)
            is_all_sent = self._at_end and not self._lines and not self._again
            if (is_all_sent and not self._unconfirmed) or (deadline and monotonic() >= deadline):
                break
            # Once the window is full, wait until half of it is confirmed. Sending one message
            # for each receipt would only make the broker and us wake each other.
            self._full = self._full or self._underway >= self._allowed
            if is_all_sent or self._full:
                self._wait(session, stop, deadline)
            elif not self._lines and not self._again:
                self._read(reader)
        session.close(GOODBYE)

    @property
    def _underway(self) -> int:
        """Number of messages that wait for the broker's receipt in this session."""
        return len(self._unconfirmed) - len(self._again)

    def _begin_to_wait(self) -> None:
        """Start waiting anew: a first message was sent, or the broker confirmed one."""
        self._waits_since = monotonic()
        self._warn_after = QUIET
        self._silent_at = monotonic() + self._patience

    def _wait(self, session: Session, stop: Stop, deadline: float | None) -> None:
        if deadline is None:
            now = monotonic()
            left = min(self._waits_since + self._warn_after, self._silent_at) - now
            session.wait(stop, left)
            if monotonic() >= self._silent_at:
                raise ConnectionLost(f"it has confirmed nothing for {self._patience:.0f} s")
            if monotonic() >= self._waits_since + self._warn_after:
                seconds, self._warn_after = self._warn_after, 2 * self._warn_after
                _log.warning(
                    "'%s' has not confirmed a message for %.0f s; still waiting: its memory, "
                    "its disk or the queue may be full",
                    session.name,
                    seconds,
                )
        else:
            # Without `stop`: it is set, so that its descriptor would end every wait at once.
            wait(session, seconds=max(0.0, deadline - monotonic()))

    def _batch(self, session: Session, reader: LineReader) -> list[Outgoing]:
        """Return the messages to send together now."""
        if not session.dialect.commits:
            return self._next(self._window)
        # While the broker writes one half of the window to disk, the other half is being sent.
        half = max(1, self._window // 2)
        self._gather(reader, half)
        return self._next(half)

    def _gather(self, reader: LineReader, most: int) -> None:
        """Read the lines that are available now, up to `most` lines or BATCH bytes."""
        size = 0
        while len(self._lines) < most and size < BATCH:
            read = self._read(reader, 0)
            if not read:
                break
            size += read

    def _read(self, reader: LineReader, seconds: float | None = None) -> int:
        """Read lines; return their size in bytes."""
        block = None if self._at_end else reader.read(seconds)
        if block is None:
            self._at_end = True
            return 0
        for line in block:
            self._number += 1
            self._lines.append((self._number, line))
        return sum(map(len, block))

    def _next(self, most: int) -> list[Outgoing]:
        """Return at most `most` messages, as many as the window has room for."""
        room = min(most, self._allowed - self._underway)
        messages = [self._again.popleft() for _ in range(min(room, len(self._again)))]
        while self._lines and len(messages) < room:
            number, line = self._lines.popleft()
            try:
                message = self._outgoing(line, number)
                if message.ackto is not None:
                    parse_ackto(message.ackto)  # Once it is sent, a wrong one would be too late.
            except (EventError, AckError) as error:
                self._failed += 1
                _log.error("line %d: %s", number, error)
                if (ackto := ackto_of(line)) is not None:
                    self._acks.nack(ackto, Reason.here(str(error), 1, "flow-send"))
            else:
                self._unconfirmed[str(number)] = message
                messages.append(message)
        return messages

    def _send(self, session: Session, messages: list[Outgoing], stop: Stop) -> None:
        if self._underway == len(messages):
            self._begin_to_wait()
        if len(messages) > 1 and session.dialect.commits and self._allowed == self._window:
            session.send(self._transaction(session, messages), stop)
        elif messages:
            session.send(b"".join([self._frame(session, each) for each in messages]), stop)

    def _transaction(self, session: Session, messages: list[Outgoing]) -> bytes:
        """Return the frames of one transaction that sends `messages`."""
        name = f"to-{messages[-1].number}"
        self._batches[name] = messages
        version = session.version
        return b"".join(
            [
                encode_frame("BEGIN", {"transaction": name}, version=version),
                *(self._frame(session, each, name) for each in messages),
                encode_frame("COMMIT", {"transaction": name, "receipt": name}, version=version),
            ]
        )

    def _frame(self, session: Session, message: Outgoing, transaction: str | None = None) -> bytes:
        body = message.body
        lines = f"content-type:{escape(message.content_type, session.version)}\n"
        if transaction is None:
            lines += f"receipt:{message.number}\n"
        else:
            lines += f"transaction:{transaction}\n"
        if message.group is not None:
            lines += f"{GROUP_HEADER}:{escape(message.group, session.version)}\n"
        if message.unique is not None:
            lines += f"{UNIQUE_HEADER}:{message.unique}\n"
        for key, value in session.dialect.body_headers(body).items():
            lines += f"{key}:{value}\n"
        return b"SEND\n%b%b\n%b\0" % (self._head, lines.encode(), body)

    def _handle(self, session: Session, frame: Frame) -> None:
        if frame.command == "RECEIPT":
            receipt = frame.headers.get("receipt-id", "")
            batch = self._batches.pop(receipt, None)
            for number in [receipt] if batch is None else [str(each.number) for each in batch]:
                self._confirm(number)
        elif frame.command == "ERROR":
            self._fail(session, frame)

    def _confirm(self, number: str) -> None:
        message = self._unconfirmed.pop(number, None)
        if message is not None:
            self._confirmed += 1
            self._begin_to_wait()
            self._allowed = min(self._window, self._allowed + 1)
            self._refused_since = None
            if message.ackto is not None:
                self._acks.ack(message.ackto)

    def _fail(self, session: Session, frame: Frame) -> None:
        said = error_text(frame)
        whole = whole_text(frame)
        if not self._underway or is_passing(whole):
            raise ConnectionLost(f"the broker says: {said}")
        # With several messages unconfirmed the ERROR may be about any of them. The caller then
        # connects again and sends the next one alone.
        alone = self._underway == 1
        now = monotonic()
        self._refused_since = self._refused_since or now
        # Just after the start of a broker some queues do not exist yet.
        may_pass = "NOT_FOUND" in whole or TROUBLE in whole
        is_plain = alone and not self._confirmed and not may_pass
        if is_plain or now - self._refused_since > REFUSED_FOR:
            line = ""
            if self._confirmed and alone:
                line = f" (line {next(iter(self._unconfirmed.values())).number})"
            raise RefusedError(
                f"'{session.name}' refuses messages to '{self._headers['destination']}'"
                f"{line}: {said}"
            )
        # If the ERROR names its message by receipt-id, that message is not tried again.
        message = self._unconfirmed.pop(frame.headers.get("receipt-id", ""), None)
        if message is not None:
            self._failed += 1
            _log.error("line %d: the broker refuses it: %s", message.number, said)
            if message.ackto is not None:
                self._acks.nack(message.ackto, Reason.here(said, 1, "flow-send"))
        raise ConnectionLost(f"the broker says: {said}")
