"""What is said about an event: the form of `ackto`, of a record, of a packet of records.

An event line's `ackto` is `unix:PATH#EPOCH.N`: the socket of the source that wrote it, and the
event's acknowledgement token there. A record is one line of a packet:

    EPOCH.N ack
    EPOCH.N nack {"error":"...","attempts":3,"worker":"mymod:Tag","host":"mam1","time":"..."}
    bye

The reason after `nack` is optional. `bye` is the last record of a connection whose sender has
settled everything that it took: see receiver.py.
"""

import os
import re
from typing import Any, NamedTuple

import orjson

from flowtools.core.event import EventError, now, parse
from flowtools.core.toolong import TooLong

MAX_PACKET = 16 * 1024
"""Bytes of a packet that we send; at least one record fits."""

MAX_REASON = 4096
"""Bytes of a reason in its JSON form."""

BYE = b"bye\n"

_ACKTO = re.compile(r"unix:(/[^\0\ud800-\udfff]*)#([A-Za-z0-9_-]{1,64}\.[0-9]{1,20})")

_LAST = re.compile(rb',"ackto":("unix:[^"\\]*")\}\s*$')


class AckError(ValueError):
    """An `ackto` is not of the form unix:PATH#EPOCH.N."""


class Reason(NamedTuple):
    """Why an event has failed for good.

    Attributes:
        error: One line of text.
        attempts: How many attempts it had; 0 where nothing was tried.
        worker: What was run: MODULE:CLASS, or the name of a command.
        host: Where.
        time: When it was given up (RFC 3339, UTC).
    """

    error: str
    attempts: int = 0
    worker: str = ""
    host: str = ""
    time: str = ""

    @classmethod
    def here(cls, error: str, attempts: int = 0, worker: str = "") -> "Reason":
        """Return a reason with this host's name and the present time."""
        return cls(error, attempts, worker, os.uname().nodename, now())

    def encode(self) -> bytes:
        """Return the reason as a JSON object of at most MAX_REASON bytes, on one line.

        What cannot be printed is replaced, and a long text is cut off.
        """
        fields: dict[str, Any] = {
            "error": printable(self.error, 2000),
            "attempts": min(max(self.attempts, 0), 2**53),
            "worker": printable(self.worker, 200),
            "host": printable(self.host, 255),
            "time": printable(self.time, 40),
        }
        encoded = orjson.dumps(fields)
        while len(encoded) > MAX_REASON:
            fields["error"] = printable(fields["error"], len(fields["error"]) * 3 // 4)
            encoded = orjson.dumps(fields)
        return encoded

    @classmethod
    def decode(cls, text: bytes | str) -> "Reason | None":
        """Return the reason that `encode` has written; None: it is not a JSON object."""
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(found, dict) or len(text) > MAX_REASON:
            return None
        attempts = found.get("attempts")
        return cls(
            printable(str(found.get("error") or ""), 2000),
            attempts if type(attempts) is int and 0 <= attempts < 2**53 else 0,
            printable(str(found.get("worker") or ""), 200),
            printable(str(found.get("host") or ""), 255),
            printable(str(found.get("time") or ""), 40),
        )


class Ack(NamedTuple):
    """One record: what became of event `number` of connection `epoch`.

    Attributes:
        epoch, number: The event's acknowledgement token.
        done: True for ack, False for nack.
        reason: What the sender said with a nack.
    """

    epoch: str
    number: int
    done: bool
    reason: Reason | None = None


class Packet(NamedTuple):
    """A packet, taken apart.

    Attributes:
        acks: Its acknowledgements and rejections, in order.
        malformed: How many of its lines are not records.
        bye: Whether it says that the sender has settled everything.
    """

    acks: list[Ack]
    malformed: int
    bye: bool


def parse_ackto(ackto: object) -> tuple[str, str]:
    """Return the socket's path and the event's token.

    Raises:
        AckError: It has another form.
    """
    found = _ACKTO.fullmatch(ackto) if isinstance(ackto, str) else None
    if found is None:
        raise AckError(f"cannot acknowledge '{ackto}': an ackto is unix:PATH#EPOCH.N")
    return found[1], found[2]


def with_ackto(line: bytes, ackto: str) -> bytes:
    """Return the event line `line`, which has no `ackto`, with one as its last member.

    The line's end, if it has one, stays.
    """
    body = line.rstrip()
    quoted = ackto.replace("\\", "\\\\").replace('"', '\\"')
    return b'%b,"ackto":"%b"}\n' % (body[:-1], quoted.encode("utf-8", "surrogateescape"))


def take_ackto(line: bytes) -> tuple[bytes, str | None]:
    """Return an event line without its `ackto`, and that; any other line as it is, and None.

    The bytes of the other members stay as they are where `ackto` is the last member, as sources
    and these commands write it. The line's end is taken off.
    """
    if isinstance(line, TooLong):
        return line, line.ackto
    found = _LAST.search(line, max(0, len(line) - 400))
    if found is not None:
        ackto = orjson.loads(found[1])
        return line[: found.start()] + b"}", ackto
    if b'"ackto"' in line:
        try:
            event = parse(line)
        except EventError:
            return line.strip(), None
        ackto = event.attributes.pop("ackto", None)
        if isinstance(ackto, str):
            return event.encode()[:-1], ackto
    return line.strip(), None


def read_packet(packet: bytes) -> Packet:
    """Return what `packet` says; never raises."""
    acks: list[Ack] = []
    malformed = 0
    bye = False
    for line in packet.decode("utf-8", "replace").split("\n"):
        ack = _read_record(line)
        if ack is not None:
            acks.append(ack)
        elif line == "bye":
            bye = True
        elif line:
            malformed += 1
    return Packet(acks, malformed, bye)


def _read_record(line: str) -> Ack | None:
    token, _, verdict = line.partition(" ")
    epoch, _, digits = token.rpartition(".")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        return None
    if verdict == "ack":
        return Ack(epoch, int(digits), True)
    if verdict == "nack":
        return Ack(epoch, int(digits), False)
    if not verdict.startswith("nack "):
        return None
    reason = Reason.decode(verdict[5:])
    return None if reason is None else Ack(epoch, int(digits), False, reason)


def printable(text: str, most: int) -> str:
    """Return `text` on one line, at most `most` characters, without what cannot be printed."""
    cut = text if len(text) <= most else text[: max(0, most - 3)] + "..."
    return cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
