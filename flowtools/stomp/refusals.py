"""How a refused message gets to the dead-letter destination, and is lost on no way there."""

from collections.abc import Callable, Sequence
from itertools import count

from flowtools.core.event import now
from flowtools.core.log import get_log
from flowtools.stomp.dialect import dead_letter_headers
from flowtools.stomp.frames import Frame, encode_frame
from flowtools.stomp.session import Session

_log = get_log("flowtools.ack")


class Refusals:
    """Moves messages to the dead-letter destination, over one session.

    What gives a message up waits until the broker has answered what sends it: RabbitMQ says
    ERROR to a SEND that it does not take and goes on (STOMP 1.2 wants the connection to
    end), so that an ACK right behind it would throw the message away.

    Where a broker commits (dialect.py), SEND and ACK are one transaction, and a message is
    in exactly one of the two places whatever happens; between them the broker is asked for
    a sign of life. RabbitMQ's COMMIT does the one and then the other, before a queue that is
    full has said no (x-overflow: reject-publish): there SEND has a receipt, which is the
    queue's word, and ACK comes after it. Between the two the message is in both places.
    """

    def __init__(
        self,
        session: Session,
        dead_letter: str,
        settled: Callable[[Sequence[int]], None] = lambda tokens: None,
    ) -> None:
        """Move to `dead_letter`; `settled` is told the tokens of what has arrived there."""
        self._session = session
        self._dialect = session.dialect
        self._version = session.dialect.version
        self._settled = settled
        self._dead_letter = dead_letter
        self._numbers = count(1)
        self._ends: dict[str, bytes] = {}
        self._underway: dict[str, Sequence[int]] = {}

    def begin(self, message: Frame, tokens: Sequence[int] = (), *, delivered: bool = True) -> bytes:
        """Return the frames that begin to move `message`; its receipt lets the rest go.

        One that the broker has not `delivered`, because it was made here, is only sent.
        """
        name = f"refused-{next(self._numbers)}"
        headers = dead_letter_headers(message.headers) | {
            "destination": self._dead_letter,
            "persistent": "true",
            "flow-refused-from": message.headers.get("destination", ""),
            "flow-refused-at": now(),
        }
        if "content-length" in message.headers or b"\0" in message.body:
            headers["content-length"] = str(len(message.body))
        self._underway[name] = tokens
        ack = self._dialect.ack_headers(message) if delivered else None
        if self._dialect.commits:
            return self._transaction(name, headers, message.body, ack)
        return self._one_by_one(name, headers, message.body, ack)

    def _transaction(
        self, name: str, headers: dict[str, str], body: bytes, ack: str | None
    ) -> bytes:
        asked = f"{name}-sent"
        end = encode_frame("COMMIT", {"transaction": name, "receipt": name}, version=self._version)
        if ack is not None:
            end = f"ACK\ntransaction:{name}\n{ack}\n\0".encode() + end
        self._ends[asked] = end
        # The receipts of a transaction's own frames may wait for its COMMIT: not these.
        return b"".join(
            [
                encode_frame("BEGIN", {"transaction": name}, version=self._version),
                encode_frame("SEND", headers | {"transaction": name}, body, version=self._version),
                encode_frame("BEGIN", {"transaction": asked}, version=self._version),
                encode_frame(
                    "ABORT", {"transaction": asked, "receipt": asked}, version=self._version
                ),
            ]
        )

    def _one_by_one(
        self, name: str, headers: dict[str, str], body: bytes, ack: str | None
    ) -> bytes:
        asked = name if ack is None else f"{name}-sent"
        if ack is not None:
            self._ends[asked] = f"ACK\nreceipt:{name}\n{ack}\n\0".encode()
        return encode_frame("SEND", headers | {"receipt": asked}, body, version=self._version)

    def note_receipt(self, name: str) -> None:
        """Take the broker's receipt: let the rest of a move go, or note that it is over.

        Raises:
            ConnectionLost: The connection has ended.
        """
        if name in self._ends:
            self._session.send(self._ends.pop(name))
        elif name in self._underway:
            self._settled(self._underway.pop(name))
            _log.info("a refused message has been moved to '%s'", self._dead_letter)

    @property
    def doubt(self) -> str:
        """What an ERROR or the end of the session may be about, to be added to it; or nothing."""
        if not self._underway:
            return ""
        return f" (while a refused message was moved to '{self._dead_letter}', see --dead-letter)"

    @property
    def unanswered(self) -> int:
        """How many messages wait for the broker before they can be given up."""
        return len(self._ends)
