"""How a rejected message gets to the dead-letter destination, and is lost on no way there.

The message is sent there over a connection of its own and acknowledged, over the connection
that delivered it, once the broker has confirmed the copy with a receipt. In between the
message is in both places, and whatever dies then, it is in one of them. A connection of its
own because RabbitMQ ends the connection at a SEND that it does not take (a full queue with
x-overflow: reject-publish), and all that is unacknowledged on it counts as delivered in vain.

A message that the dead letters do not take waits here, and in the window, and is tried again
at growing intervals; the others go on. Each batch has a new connection: RabbitMQ declares a
destination once a connection, and drops what is sent to a queue that was deleted since.

One thread does all of it: the first rejection starts it, `close` joins it.
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
from flowtools.core.wait import Stop, Wake, wait
from flowtools.stomp.dialect import dead_letter_headers, failure_headers
from flowtools.stomp.frames import Frame, encode_frame
from flowtools.stomp.session import Session, error_text
from flowtools.stomp.transport import ConnectionLost

TOGETHER = 64
"""Messages that are sent to the dead letters before their receipts are waited for."""

ANSWER = 30.0
"""Seconds that the broker has for the receipts of a batch."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds before a message that was not taken is tried again: the first pause, doubling."""

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
        """Move to `destination`, over sessions that `connect` makes; `headers` go with each."""
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
        """How many messages are on their way, or wait for another try."""
        return self._unmoved

    def put(self, message: Frame, reason: Reason | None, moved: Callable[[], None]) -> None:
        """Move `message`; call `moved`, in this object's thread, once the broker has it.

        Any thread may call it, and it never waits.
        """
        with self._state:
            if self._closed:
                return
            self._unmoved += 1
            self._letters.append(_Letter(message, reason, moved))
            if self._thread is None:
                self._thread = Thread(target=self._run, name="dead-letters", daemon=True)
                self._thread.start()
            self._wake.ring()

    def close(self) -> None:
        """End; what has not been moved stays with the broker that delivered it.

        A second time does nothing.
        """
        with self._state:
            if self._closed:
                return
            self._closed = True
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
        """Return what is to be tried now, or the seconds until there is something."""
        with self._state:
            fresh = [each for each in self._letters if not each.tries][:TOGETHER]
            # After an ERROR it is not known which one it was about: they go one by one.
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
            "persistent": "true",
            "flow-refused-from": message.headers.get("destination", ""),
            "flow-refused-at": now(),
        }
        if letter.reason is not None:
            headers |= failure_headers(letter.reason)
        if "content-length" in message.headers or b"\0" in message.body:
            headers["content-length"] = str(len(message.body))
        return headers

    def _await_receipts(self, session: Session, letters: dict[int, _Letter]) -> None:
        """Tell of each letter that has arrived, until all have.

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
        # The connection that delivered it may have ended: then it is delivered again.
        with suppress(ConnectionLost, ProtocolError):
            letter.moved()
        with self._state:
            self._unmoved -= 1

    def _put_back(self, letters: list[_Letter], error: Exception) -> None:
        if self._closed:
            return
        for each in letters:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(each.tries, 20))
            # Of several it is not known yet which one the broker does not take.
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
