"""The STOMP protocol of one client of the stand-in's broker, from CONNECT to DISCONNECT.

A Session carries out the frames that connection.py reads, in the thread that read them: it checks
each against the specification and turns it into a call of delivery.py. Frames of a transaction
are only collected until COMMIT; MAX_FRAMES and MAX_BYTES limit the collection of a connection. A
ProtocolError ends the connection, as STOMP demands.
"""

import re
import uuid

from coilmq.engine import StompEngine
from coilmq.exception import AuthError, ProtocolError
from coilmq.protocol import STOMP
from coilmq.util.frames import Frame

from flowtools import __version__
from flowtools.sim.delivery import Ack, Message, Subscription, Verdict, message_of

BEAT = 1000
"""Shortest interval of heart-beats that the broker agrees to, in milliseconds, either way."""

PREFETCH = 100
"""Messages in flight on a subscription whose SUBSCRIBE does not name a number."""

MAX_FRAMES = 20_000
"""Frames that all open transactions of a connection may hold together, each BEGIN included."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes that the bodies of these frames may have together."""

# Of RabbitMQ, ActiveMQ Classic and others: a client that was written for any of them is understood.
_PREFETCH_HEADERS = ("prefetch-count", "activemq.prefetchSize", "prefetch")
_IN_TRANSACTIONS = {"SEND", "ACK", "NACK"}
_COMMANDS = {"CONNECT", "STOMP", "SEND", "SUBSCRIBE", "UNSUBSCRIBE", "ACK", "NACK"} | {
    "BEGIN",
    "COMMIT",
    "ABORT",
    "DISCONNECT",
}


class Session(STOMP):  # type: ignore[misc]
    """The protocol of one connection; replaces CoilMQ's STOMP10, STOMP11 and STOMP12.

    A frame that the specification of the version does not allow is an error, even if real
    brokers accept it, so that the author of a client notices.

    Attributes:
        version: Version of STOMP that was agreed on.
        closing: True after DISCONNECT: nothing more is read.
    """

    def __init__(self, engine: StompEngine, version: str) -> None:
        super().__init__(engine)
        self.version = version
        self.closing = False
        self._held = 0
        self._held_bytes = 0

    def process_frame(self, frame: Frame) -> None:
        """Carry out `frame`, and confirm it with a RECEIPT if it asks for one.

        Raises:
            ProtocolError: The frame is not allowed or not possible; the connection must end.
            AuthError: The login is wrong.
        """
        connecting = frame.cmd in ("CONNECT", "STOMP")
        if connecting == self.engine.connected:
            raise ProtocolError("connected already" if connecting else "not connected")
        if frame.cmd not in _COMMANDS:
            raise ProtocolError(f"unknown command '{frame.cmd[:20]}'")
        if frame.body and frame.cmd != "SEND" and self.version != "1.0":
            raise ProtocolError(f"{frame.cmd} must not have a body")
        if "transaction" in frame.headers and frame.cmd in _IN_TRANSACTIONS:
            self._hold(frame)
        else:
            # Only a name in _COMMANDS gets here, so no other method can be called.
            getattr(self, frame.cmd.lower())(frame)
        if "receipt" in frame.headers and not connecting:
            self._answer("RECEIPT", {"receipt-id": frame.headers["receipt"]})

    def connect(self, frame: Frame, response: Frame | None = None) -> None:
        """Check the login and answer CONNECTED; any name of a virtual host is accepted.

        Raises:
            ProtocolError: The frame has no `host`, which STOMP 1.1 and 1.2 require, or its
                `heart-beat` is malformed.
            AuthError: The login is wrong.
        """
        if self.version != "1.0" and "host" not in frame.headers:
            raise ProtocolError(f"{frame.cmd} has no host")
        login, passcode = frame.headers.get("login"), frame.headers.get("passcode")
        if not self.engine.authenticator.authenticate(login, passcode):
            raise AuthError(f"access refused for user '{login or ''}'")
        self.engine.connected = True
        headers = {"session": str(uuid.uuid4()), "server": f"flow-sim/{__version__}"}
        if self.version != "1.0":
            headers["version"] = self.version
            headers["heart-beat"] = self._agree_on_beats(frame.headers.get("heart-beat", "0,0"))
            # From the next frame on headers have the escapes of this version.
            self.engine.connection.buffer.version = self.version
        self._answer("CONNECTED", headers)

    def send(self, frame: Frame) -> None:
        """Deliver a message."""
        self.engine.queue_manager.send(message_of(frame))

    def subscribe(self, frame: Frame) -> None:
        """Add a subscription."""
        headers = frame.headers
        ack: Ack = headers.get("ack", "auto")
        if ack not in ("auto", "client", "client-individual"):
            raise ProtocolError(f"unknown ack mode '{ack}'")
        if "selector" in headers:
            raise ProtocolError("selectors are not supported by this stand-in")
        if not headers.get("destination"):
            raise ProtocolError("SUBSCRIBE has no destination")
        if self.version != "1.0" and "id" not in headers:
            raise ProtocolError("SUBSCRIBE has no id")
        # In STOMP 1.0 the id is optional, and the destination identifies a subscription.
        name = headers.get("id", headers["destination"])
        self.engine.queue_manager.subscribe(
            Subscription(
                self.engine.connection, name, headers["destination"], ack, _prefetch(headers)
            )
        )

    def unsubscribe(self, frame: Frame) -> None:
        """End a subscription."""
        if self.version != "1.0" and "id" not in frame.headers:
            raise ProtocolError("UNSUBSCRIBE has no id")
        self.engine.queue_manager.unsubscribe(
            self.engine.connection, frame.headers.get("id"), frame.headers.get("destination")
        )

    def ack(self, frame: Frame) -> None:
        """Acknowledge a message; with ack "client", also those before it."""
        self.engine.queue_manager.commit(self.engine.connection, [], [self._verdict(frame)])

    def nack(self, frame: Frame) -> None:
        """Reject a message, or several; see `ack`."""
        if self.version == "1.0":
            raise ProtocolError("STOMP 1.0 has no NACK")
        self.ack(frame)  # `_verdict` reads the command.

    def begin(self, frame: Frame) -> None:
        """Start a transaction."""
        name = frame.headers.get("transaction")
        if not name or name in self.engine.transactions:
            raise ProtocolError("BEGIN needs a transaction that is not open yet")
        self.engine.transactions[name] = []
        self._check_held()

    def commit(self, frame: Frame) -> None:
        """Carry out all frames of the transaction, or none of them."""
        held = self._end_transaction(frame)
        messages: list[Message] = [message_of(each) for each in held if each.cmd == "SEND"]
        verdicts = [self._verdict(each) for each in held if each.cmd != "SEND"]
        self.engine.queue_manager.commit(self.engine.connection, messages, verdicts)

    def abort(self, frame: Frame) -> None:
        """Drop the frames of the transaction."""
        self._end_transaction(frame)

    def disconnect(self, frame: Frame) -> None:
        """End the connection once the queued frames, with the RECEIPT, are sent."""
        self.closing = True

    def disable_heartbeat(self) -> None:
        """Do nothing; CoilMQ calls this, but here the writing thread sends the heart-beats."""

    def _hold(self, frame: Frame) -> None:
        self._transaction(frame).append(frame)
        self._held_bytes += len(frame.body or b"")
        self._held += 1
        self._check_held()

    def _check_held(self) -> None:
        # A transaction counts as one frame itself: a client may open any number of empty ones.
        if self._held + len(self.engine.transactions) > MAX_FRAMES or self._held_bytes > MAX_BYTES:
            raise ProtocolError(
                f"the open transactions hold more than {MAX_FRAMES} frames or {MAX_BYTES} bytes"
            )

    def _end_transaction(self, frame: Frame) -> list[Frame]:
        """Remove a transaction, and return its frames."""
        held = self._transaction(frame)
        del self.engine.transactions[frame.headers["transaction"]]
        self._held -= len(held)
        self._held_bytes -= sum(len(each.body or b"") for each in held)
        return held

    def _transaction(self, frame: Frame) -> list[Frame]:
        name = frame.headers.get("transaction", "")
        if name not in self.engine.transactions:
            raise ProtocolError(f"there is no transaction '{name}'")
        found: list[Frame] = self.engine.transactions[name]
        return found

    def _verdict(self, frame: Frame) -> Verdict:
        headers = frame.headers
        # 1.0 names the message; 1.1 also the subscription; 1.2 has one id for both.
        needed = {"1.2": "id"}.get(self.version, "message-id")
        if needed not in headers:
            raise ProtocolError(f"{frame.cmd} has no {needed}")
        if self.version == "1.1" and "subscription" not in headers:
            raise ProtocolError(f"{frame.cmd} has no subscription")
        if self.version == "1.2":
            return Verdict(frame.cmd == "ACK", token=headers["id"])
        return Verdict(
            frame.cmd == "ACK",
            message_id=headers["message-id"],
            subscription=headers.get("subscription"),
        )

    def _agree_on_beats(self, offered: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9},[0-9]{1,9}", offered):
            raise ProtocolError("malformed heart-beat")
        theirs, wanted = (int(part) for part in offered.split(","))
        connection = self.engine.connection
        connection.beat = max(wanted, BEAT) / 1000 if wanted else None
        # 2.5 intervals: one late heart-beat is not the end (the specification allows a margin).
        connection.patience = max(theirs, BEAT) / 1000 * 2.5 if theirs else None
        return f"{BEAT},{BEAT}"

    def _answer(self, command: str, headers: dict[str, str]) -> None:
        self.engine.connection.send_frame(Frame(command, headers))


def _prefetch(headers: dict[str, str]) -> int:
    for name in _PREFETCH_HEADERS:
        said = headers.get(name, "")
        if said.isascii() and said.isdigit() and int(said[:9]) > 0:
            return int(said[:9])
    return PREFETCH
