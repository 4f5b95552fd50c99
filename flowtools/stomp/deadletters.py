"""Moves rejected messages to the dead-letter destination without losing any.

A copy of the message is sent over a separate connection. Once the broker has confirmed the copy
with a receipt, the message is acknowledged over the connection that delivered it. In between the
message is in both places, so that it survives whatever process dies then. The connection is
separate because RabbitMQ closes a connection after a SEND that it does not accept (a full queue
with x-overflow: reject-publish), and then everything unacknowledged on it counts as an unsuccessful
delivery.

A message that the dead-letter destination does not accept stays here and in the window, and is
tried again at growing intervals; the others continue. Each batch gets a new connection: RabbitMQ
declares a destination once per connection, and drops what is sent to a queue deleted since then.

One thread does all of this: the first rejection starts it, `close` joins it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock, Thread
from time import monotonic

from flowtools.ack.records import Reason
from flowtools.core.errors import FlowError, ProtocolError
from flowtools.core.event import now
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, Wake, wait
from flowtools.stomp.dialect import dead_letter_headers, failure_headers
from flowtools.stomp.frames import Frame, encode_frame
from flowtools.stomp.saying import error_text
from flowtools.stomp.session import Session
from flowtools.stomp.transport import ConnectionLost

TOGETHER = 64
"""Maximum number of messages in a batch, sent before waiting for their receipts."""

ANSWER = 30.0
"""Seconds within which the broker must send the receipts of a batch."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds until a message that was not accepted is tried again: FIRST_PAUSE, doubling."""

_log = get_log("flowtools.ack")


@dataclass(slots=True)
class _Letter:
    message: Frame
    reason: Reason | None
    moved: Callable[[], None]
    tries: int = 0
    due: float = 0.0


class DeadLetters:
    """Moves messages to the dead-letter destination for one subscription."""

    def __init__(
        self,
        connect: Callable[[Stop], Session | None],
        destination: str,
        headers: Mapping[str, str],
    ) -> None:
        """Move messages to `destination` over sessions made by `connect`; add `headers` to each."""
        self._connect = connect
        self._destination = destination
        self._headers = headers
        self._letters: deque[_Letter] = deque()
        self._state = Lock()
        self._unmoved = 0
        self._wake = Wake()
        self._stop = Stop()
        self._thread: Thread | None = None
        self._failing = False
        self._closed = False

    @property
    def waiting(self) -> int:
        """Number of messages that have not yet arrived at the dead-letter destination."""
        return self._unmoved

    def put(self, message: Frame, reason: Reason | None, moved: Callable[[], None]) -> None:
        """Move `message`; call `moved`, in this object's thread, once the broker has the copy.

        Any thread may call this method; it never waits.
        """
        with self._state:
            if self._closed:
                return
            self._unmoved += 1
            self._letters.append(_Letter(message, reason, moved))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="dead-letters", daemon=True)
                start_thread(self._thread)
            self._wake.ring()

    def close(self) -> None:
        """End. Messages that have not been moved stay with the broker that delivered them.

        A second call does nothing.
        """
        with self._state:
            if self._closed:
                return
            self._closed = True  # From now on `put` starts no thread, so the join below is final.
            self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._wake.close()
        self._stop.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            batch, pause = self._next()
            if batch:
                self._move(batch)
            else:
                wait(self._wake, self._stop, seconds=pause)
                self._wake.clear()

    def _next(self) -> tuple[list[_Letter], float | None]:
        """Return the batch to try now; if it is empty, the seconds until there is one."""
        with self._state:
            fresh = [each for each in self._letters if not each.tries][:TOGETHER]
            # An ERROR does not say which message it is about. So a failed batch is tried again
            # one message at a time.
            first = min(self._letters, key=lambda each: each.due, default=None)
            batch = fresh or ([first] if first and first.due <= monotonic() else [])
            for each in batch:
                self._letters.remove(each)
        return batch, max(0.0, first.due - monotonic()) if first else None

    def _move(self, batch: list[_Letter]) -> None:
        left = dict(enumerate(batch, start=1))
        try:
            session = self._connect(self._stop)
            if session is None:
                return
            try:
                self._send(session, left)
                self._await_receipts(session, left)
                # Without a receipt: the broker has confirmed every message.
                session.send_frame("DISCONNECT", {})
            finally:
                session.abort()
        except (ConnectionLost, FlowError) as error:
            self._put_back(list(left.values()), error)
        else:
            if self._failing:
                self._failing = False
                _log.warning("'%s' takes messages again", self._destination)

    def _send(self, session: Session, letters: Mapping[int, _Letter]) -> None:
        version = session.version
        frames = [
            encode_frame(
                "SEND",
                self._headers_of(letter) | {"receipt": str(number)},
                letter.message.body,
                version=version,
            )
            for number, letter in letters.items()
        ]
        session.send(b"".join(frames), self._stop)

    def _headers_of(self, letter: _Letter) -> dict[str, str]:
        message = letter.message
        headers = dead_letter_headers(message.headers) | {
            **self._headers,
            "destination": self._destination,
            # ActiveMQ and Artemis lose a message without this header when they are restarted.
            "persistent": "true",
            "flow-refused-from": message.headers.get("destination", ""),
            "flow-refused-at": now(),
        }
        if letter.reason is not None:
            headers |= failure_headers(letter.reason)
        # As the sender had it: to JMS programs a message with a length is bytes, and one without is
        # text (Dialect.body_headers). A body with a NUL needs it (STOMP 1.2, "Body").
        if "content-length" in message.headers or b"\0" in message.body:
            headers["content-length"] = str(len(message.body))
        return headers

    def _await_receipts(self, session: Session, letters: dict[int, _Letter]) -> None:
        """Call `moved` of each letter that has arrived, until all have arrived.

        Raises:
            ConnectionLost: The broker does not take one, or does not answer.
        """
        deadline = monotonic() + ANSWER
        while letters:
            for frame in session.take():
                if frame.command == "ERROR":
                    raise ConnectionLost(f"the broker says: {error_text(frame)}")
                receipt = frame.headers.get("receipt-id", "")
                letter = letters.pop(int(receipt), None) if receipt.isdecimal() else None
                if letter is not None:
                    self._arrived(letter)
            if letters and not session.wait(self._stop, deadline - monotonic()):
                raise ConnectionLost("stopped" if self._stop.is_set() else "it does not answer")

    def _arrived(self, letter: _Letter) -> None:
        _log.info("a rejected message has been moved to '%s'", self._destination)
        # If the connection that delivered the message has ended, the broker delivers it again.
        with suppress(ConnectionLost, ProtocolError):
            letter.moved()
        with self._state:
            self._unmoved -= 1

    def _put_back(self, letters: list[_Letter], error: Exception) -> None:
        if self._closed:
            return
        for each in letters:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(each.tries, 20))
            # Among several, it is not known yet which one is not accepted: retry each at once.
            each.due = monotonic() + (pause if len(letters) == 1 else 0.0)
            each.tries += 1
        with self._state:
            self._letters.extend(letters)
        if len(letters) > 1:
            return
        log = _log.debug if self._failing else _log.error
        self._failing = True
        log(
            "cannot move a rejected message to '%s' (see --dead-letter): %s; it is tried again,"
            " and stays unacknowledged until then",
            *(self._destination, error),
        )
