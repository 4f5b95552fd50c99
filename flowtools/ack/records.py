"""The acknowledgement protocol: the form of `ackto`, of a record, and of a packet of records.

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
from flowtools.core.unfinished import Unfinished

MAX_PACKET = 16 * 1024
"""Maximum size of a packet that is sent, in bytes. A single record always fits."""

MAX_REASON = 4096
"""Maximum size of a reason in its JSON form, in bytes."""

BYE = b"bye\n"

_ACKTO = re.compile(r"unix:(/[^\0\ud800-\udfff]*)#([A-Za-z0-9_-]{1,64}\.[0-9]{1,20})")

# Inside a string the quotes would be escaped, and an inner object would not be at the very end. So
# this finds only a member of the event itself.
_LAST = re.compile(rb',"ackto":("unix:[^"\\]*")\}\s*$')


class AckError(ValueError):
    """Raised for an `ackto` that is not of the form unix:PATH#EPOCH.N."""


class Reason(NamedTuple):
    """The reason why an event has failed permanently.

    Attributes:
        error: The error, as one line of text.
        attempts: Number of attempts; 0 if nothing was tried.
        worker: The Worker as MODULE:CLASS, or the name of a command.
        host: The name of the host on which the event failed.
        time: The time at which the event failed permanently (RFC 3339, UTC).
    """

    error: str
    attempts: int = 0
    worker: str = ""
    host: str = ""
    time: str = ""

    @classmethod
    def here(cls, error: str, attempts: int = 0, worker: str = "") -> "Reason":
        """Return a reason with this host's name and the current time."""
        return cls(error, attempts, worker, os.uname().nodename, now())

    def encode(self) -> bytes:
        """Return the reason as a JSON object of at most MAX_REASON bytes, on one line.

        Unprintable characters are replaced by spaces, and long texts are cut off.
        """
        fields: dict[str, Any] = {
            "error": printable(self.error, 2000),
            "attempts": min(max(self.attempts, 0), 2**53),
            "worker": printable(self.worker, 200),
            "host": printable(self.host, 255),
            "time": printable(self.time, 40),
        }
        encoded = orjson.dumps(fields)
        # The limits above count characters, of which one may take up to four bytes.
        while len(encoded) > MAX_REASON:
            fields["error"] = printable(fields["error"], len(fields["error"]) * 3 // 4)
            encoded = orjson.dumps(fields)
        return encoded

    @classmethod
    def decode(cls, text: bytes | str) -> "Reason | None":
        """Return the reason that `encode` wrote as `text`; None if `text` is not a JSON object."""
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
    """One record: the acknowledgement or rejection of one event.

    Attributes:
        epoch, number: The event's acknowledgement token.
        done: True for ack, False for nack.
        reason: The reason that the sender gave with a nack.
    """

    epoch: str
    number: int
    done: bool
    reason: Reason | None = None


class Packet(NamedTuple):
    """The contents of a packet.

    Attributes:
        acks: The acknowledgements and rejections, in order.
        malformed: Number of lines that are not records.
        bye: Whether the sender says that it has settled everything.
    """

    acks: list[Ack]
    malformed: int
    bye: bool


def parse_ackto(ackto: object) -> tuple[str, str]:
    """Return the socket's path and the event's acknowledgement token.

    Raises:
        AckError: `ackto` is not of the form unix:PATH#EPOCH.N.
    """
    found = _ACKTO.fullmatch(ackto) if isinstance(ackto, str) else None
    if found is None:
        raise AckError(f"cannot acknowledge '{ackto}': expected an ackto unix:PATH#EPOCH.N")
    return found[1], found[2]


def with_ackto(line: bytes, ackto: str) -> bytes:
    """Return the event line `line`, which has no `ackto`, with `ackto` as its last member.

    The returned line ends with a newline.
    """
    body = line.rstrip()
    quoted = ackto.replace("\\", "\\\\").replace('"', '\\"')
    return b'%b,"ackto":"%b"}\n' % (body[:-1], quoted.encode("utf-8", "surrogateescape"))


def take_ackto(line: bytes) -> tuple[bytes, str | None]:
    """Return an event line without its `ackto`, and the `ackto`; None if the line has none.

    If `ackto` is the last member, as all our commands write it, the bytes of the other members
    stay unchanged. The newline is removed.
    """
    if isinstance(line, TooLong):
        return line, line.ackto
    if isinstance(line, Unfinished):
        return line, None
    # Only the end is searched, since a line may have megabytes; an `ackto` is far shorter.
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
    """Return the contents of `packet`; never raises."""
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
    # Other processes write these lines: int() alone would accept "1_0" and foreign digits.
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
    """Return at most `most` characters of `text`, with a space for each unprintable one."""
    cut = text if len(text) <= most else text[: max(0, most - 3)] + "..."
    return cut if cut.isprintable() else "".join(c if c.isprintable() else " " for c in cut)
