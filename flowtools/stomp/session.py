"""One logged-in connection to a STOMP broker: frames out, frames in.

The transport's I/O thread only appends bytes to `_inbox` and rings `_wake`. The thread that calls
`take` splits them into frames. When more than BOUND bytes wait, the I/O thread stops reading, and
TCP makes the broker wait: so memory is bounded even if nobody takes.

The caller that gets a session owns it and ends it with `close` or `abort`, which join the threads
of its transport (see transport.py).
"""

import logging
import time
from collections import deque
from threading import Condition, Lock

from flowtools.core.errors import ProtocolError, RefusedError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop, Wake, wait
from flowtools.stomp.dialect import Dialect
from flowtools.stomp.frames import Frame, FrameParser, encode_frame
from flowtools.stomp.saying import error_text, is_trouble
from flowtools.stomp.trace import frames_in, line_of
from flowtools.stomp.transport import ConnectionLost, Transport
from flowtools.stomp.wire import Wire

BOUND = 32 * 1024 * 1024
"""Maximum number of bytes that wait to be taken; beyond it, reading pauses."""

BREATH = 0.003
"""Seconds for which reading pauses while PLENTY bytes wait to be taken. The 20 to 100 messages that
arrive in that time then cost one switch of threads."""

PLENTY = 65536
"""Bytes that keep the taking thread busy for longer than BREATH, whatever the size of a broker's
segments or TLS records."""

REASON = 0.5
"""Seconds for which a broker that reports only TROUBLE may follow it with the reason."""

_log = get_log("flowtools.broker")
_trace = get_log("flowtools.frames")


class Session:
    """One logged-in connection.

    The file descriptor becomes readable when there is something to `take`.

    Attributes:
        name: The broker's host and port.
        dialect: The habits of this broker.
        heart_beat: Seconds after which we send a heart-beat, and expect one; 0: none.
        certificate_ends: The expiry time of the broker's certificate (seconds since the epoch),
            if known.
    """

    heart_beat: tuple[float, float] = (0.0, 0.0)

    def __init__(self, wire: Wire, name: str) -> None:
        """Start a session on a connected `wire`; `login` comes next."""
        self.name = name
        self.certificate_ends = wire.certificate_ends
        self._is_tls = wire.tls is not None
        self.dialect = Dialect("", "1.0")
        self._inbox: deque[bytes] = deque()
        # Counts of bytes. Only the I/O thread adds to `_come`, only the holder of `_parsing` to
        # `_gone`: so neither count needs a lock of its own.
        self._come = self._gone = 0
        self._parser = FrameParser()
        self._parsing = Lock()
        self._broken: ProtocolError | None = None
        self._frames: list[Frame] = []
        self._room = Condition()
        self._pausing = False
        self._wake = Wake()
        self._is_traced = _trace.is_enabled_for(logging.DEBUG)
        self._closed = False
        self._woken = False
        self._transport = Transport(wire, self._deliver, self._rouse)
        self._transport.start()

    @property
    def version(self) -> str:
        """The protocol version that was agreed on."""
        return self.dialect.version

    @property
    def lost(self) -> ConnectionLost | ProtocolError | None:
        """The reason why the connection has ended; None while it is up."""
        return self._broken or self._transport.lost

    @property
    def heard_at(self) -> float:
        """The time at which the broker last sent anything, even a heart-beat (monotonic clock)."""
        return self._transport.heard_at

    def fileno(self) -> int:
        """Return the file descriptor to poll for reading; never read from it."""
        return self._wake.fileno()

    def take(self) -> list[Frame]:
        """Return the frames that have arrived; does not wait, but for the reason of an ERROR.

        RabbitMQ may send two ERRORs for one failure: first TROUBLE alone, and a moment later the
        reason. Then only the second is returned.

        Raises:
            ConnectionLost: The connection has ended and all frames have been taken.
            ProtocolError: The connection has ended because the other side does not speak STOMP.
        """
        frames, lost = self._drain()
        if frames and frames[-1].command == "ERROR":
            give_up_at = time.monotonic() + REASON
            while lost is None and is_trouble(frames[-1]):
                if not self._wake.wait(max(0.0, give_up_at - time.monotonic())):
                    break
                more, lost = self._drain()
                frames += more
            frames = [each for each in frames[:-1] if not is_trouble(each)] + frames[-1:]
        if self._pausing:
            with self._room:
                self._room.notify()
        if lost is not None:
            if not frames:
                raise lost
            self._rouse()  # The next `take` has to raise `lost`, and nothing else will ring.
        return frames

    def _drain(self) -> tuple[list[Frame], ConnectionLost | ProtocolError | None]:
        """Return the frames that have arrived, and why no more will come, if so."""
        # The order matters: bytes that arrive after the flag is cleared wake us again, and bytes
        # that arrived before are taken below.
        self._wake.clear()
        self._woken = False
        lost = self._transport.lost
        with self._parsing:
            self._parse()
            frames, self._frames = self._frames, []
        if frames and self._is_traced:
            for frame in frames:
                _trace.debug("from '%s': %s", self.name, line_of(frame))
        return frames, self._broken or lost

    def wait(self, stop: Stop, seconds: float | None) -> bool:
        """Wait until there may be something to take (True), `stop` is set, or time is over."""
        return self._wake.fileno() in wait(self._wake, stop, seconds=seconds)

    def send(self, data: bytes, stop: Stop | None = None, seconds: float | None = None) -> None:
        """Send complete frames; any thread may call this.

        A `stop`, or the end of `seconds`, ends the wait for a broker that accepts no more data, and
        the connection with it.

        Raises:
            ConnectionLost: The connection has ended.
        """
        self._show_sent(data)
        try:
            self._transport.send(data, stop, seconds)
        except ConnectionLost:
            with self._parsing:
                self._parse()
                errors = [frame for frame in self._frames if frame.command == "ERROR"]
            errors.sort(key=is_trouble)
            for frame in errors:
                raise ConnectionLost(f"the broker says: {error_text(frame)}") from None
            raise

    def send_frame(self, command: str, headers: dict[str, str], body: bytes = b"") -> None:
        """Send one frame; see `send`."""
        self.send(encode_frame(command, headers, body, version=self.version))

    def login(self, headers: dict[str, str], stop: Stop, seconds: float) -> None:
        """Log in with `headers` and agree on version and heart-beats.

        Raises:
            RefusedError: The broker refuses the login.
            ProtocolError: The server does not speak STOMP.
            ConnectionLost: The broker ends the connection, or does not answer in time.
        """
        self.send_frame("CONNECT", headers)
        try:
            answer = self._answer(stop, seconds)
        except ConnectionLost as error:
            if self._come or self._is_tls or self._transport.lost is None:
                raise
            raise ConnectionLost(
                f"{error}, without an answer to the login; if it speaks TLS on this port, let the"
                " URL begin with stomp+ssl://"
            ) from None
        if answer.command == "ERROR":
            raise RefusedError(f"'{self.name}' refuses the login: {error_text(answer)}")
        if answer.command != "CONNECTED":
            raise ProtocolError(f"'{self.name}' answers a login with {answer.command}")
        version = answer.headers.get("version", "1.0").strip()
        if version not in ("1.0", "1.1", "1.2"):
            raise ProtocolError(
                f"'{self.name}' speaks STOMP '{version}'; flowtools speaks 1.0, 1.1 and 1.2"
            )
        self._parser.version = version
        self.dialect = Dialect(answer.headers.get("server", ""), version)
        if version != "1.0":  # STOMP 1.0 has no heart-beats.
            ours = headers.get("heart-beat", "0,0")
            self.heart_beat = _heart_beats(ours, answer.headers.get("heart-beat", "0,0"))
        self._transport.pulse(*self.heart_beat)
        _log.info(
            "connected to '%s' (%s, STOMP %s)",
            self.name,
            answer.headers.get("server", "a broker that does not say its name"),
            version,
        )

    def close(self, seconds: float) -> None:
        """Send DISCONNECT, wait up to `seconds` for the broker's receipt, and end.

        The receipt says that the broker has processed everything that was sent before.
        """
        deadline = time.monotonic() + seconds
        try:
            goodbye = encode_frame("DISCONNECT", {"receipt": "disconnect"}, version=self.version)
            self._show_sent(goodbye)
            self._transport.send(goodbye, seconds=seconds)
            while (left := deadline - time.monotonic()) > 0:
                self._wake.wait(left)
                if any(frame.headers.get("receipt-id") == "disconnect" for frame in self.take()):
                    break
        except (ConnectionLost, ProtocolError) as error:
            _log.debug("the connection ended before the receipt for DISCONNECT: %s", error)
        finally:
            self.abort()

    def abandon(self, reason: str) -> None:
        """End the connection. Any thread may call this; it never waits. `take` then raises."""
        self._transport.abandon(reason)

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.close()
        if not self._closed:
            self._closed = True
            self._wake.close()

    def _answer(self, stop: Stop, seconds: float) -> Frame:
        deadline = time.monotonic() + seconds
        while not (frames := self.take()):
            if not self.wait(stop, deadline - time.monotonic()):
                reason = "stopped" if stop.is_set() else "it does not answer the login"
                raise ConnectionLost(reason)
        if len(frames) > 1:  # What follows CONNECTED at once is kept for the next `take`.
            self._frames = frames[1:] + self._frames
            self._wake.ring()
        return frames[0]

    def _show_sent(self, data: bytes) -> None:
        if self._is_traced:
            for frame in frames_in(data, self.version):
                _trace.debug("to '%s': %s", self.name, line_of(frame))

    def _deliver(self, chunk: bytes) -> None:
        self._inbox.append(chunk)
        self._come += len(chunk)
        self._rouse()
        if self._come - self._gone > BOUND:
            self._pause()
        elif self._come - self._gone > PLENTY:
            # The taking thread is at work. Reading on at once would only make the two threads
            # take turns at Python's lock, for a few messages each.
            time.sleep(BREATH)

    def _parse(self) -> None:
        """Split the bytes that have arrived into frames; the caller holds `_parsing`."""
        for _ in range(len(self._inbox)):
            chunk = self._inbox.popleft()
            self._gone += len(chunk)
            if self._broken is None:
                try:
                    self._frames += self._parser.feed(chunk)
                except ProtocolError as error:
                    # Stored first: `abandon` and later errors must not hide the real reason.
                    self._broken = error
                    self._transport.abandon(str(error))

    def _pause(self) -> None:
        with self._room:
            self._pausing = True
            while self._come - self._gone > BOUND and self._transport.lost is None:
                self._room.wait(0.2)
                self._transport.heard()
            self._pausing = False

    def _rouse(self) -> None:
        if not self._woken:
            self._woken = True
            # An I/O thread that could not be joined may call this after `abort`.
            if not self._closed:
                self._wake.ring()


def _heart_beats(ours: str, theirs: str) -> tuple[float, float]:
    """Return the seconds after which we send, and expect, a heart-beat.

    `ours` and `theirs` are the two headers, in milliseconds: what each side sends, and what it
    wants to receive (STOMP 1.2, "Heart-beating").
    """
    try:
        beat, hear = (int(part) for part in ours.split(","))
        gives, wants = (int(part) for part in theirs.split(","))
    except ValueError:
        return 0.0, 0.0  # A malformed header counts as a broker without heart-beats.
    return (
        max(beat, wants) / 1000 if beat and wants else 0.0,
        max(hear, gives) / 1000 if hear and gives else 0.0,
    )
