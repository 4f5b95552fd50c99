"""Packets between the pool and the processes of its Workers.

A packet is one byte for its kind, and the content. Packets go through a Unix socket of type
SOCK_SEQPACKET: a packet is read completely or not at all, and by only one process. Content that is
too large for one packet is sent in several; each but the last says that more follows.
"""

import socket
from typing import NoReturn

from flowtools.core.errors import FlowError, error_of

READY, BROKEN, CLEAN = b"R", b"B", b"C"
"""READY: the Worker is configured. BROKEN: it cannot be configured. CLEAN: `clean_up` has returned
or raised."""

EVENT, BATCH, FILE, DESCRIPTOR = b"V", b"M", b"F", b"G"
"""EVENT: one event. BATCH: several events, one per line. FILE: either of them (the content says
which), too large for a packet, in the file whose DESCRIPTOR comes next."""

AHEAD, GO = b"H", b"O"
"""AHEAD: one event of a series, with its number in the series (one byte) before the event. GO: the
process may run events of a series again (see HALTED)."""

DONE, LINES, ERROR = b"D", b"L", b"E"
"""DONE: `start` has returned nothing. LINES: it has returned lines. ERROR: it, or `start_many`, has
raised."""

ANSWERS, FAILED = b"A", b"X"
"""ANSWERS: the answer for each event of a batch. FAILED: an event of a running batch has failed."""

RETURNED = b"U"
"""RETURNED: an event of a series was not begun. In a series, this and the three answers above begin
with a head: the number of their event (one byte), HALTED or GOING, and the time that the event took
(three bytes, microseconds)."""

HALTED, GOING = b"!", b"."
"""HALTED: the process runs no further event of a series until it gets GO, but returns each. GOING:
the process continues with the next event."""

LARGEST = 65536
"""Maximum content of one packet, in bytes. The kernel would accept some 200 KiB."""

_MORE = b"+"


_LONGEST = 0xFFFFFF


def head(number: bytes, seconds: float = 0.0, *, has_halted: bool) -> bytes:
    """Return the head of an answer to event `number` of a series, which took `seconds`."""
    microseconds = min(int(seconds * 1e6), _LONGEST)
    return number + (HALTED if has_halted else GOING) + microseconds.to_bytes(3)


def opened(content: bytes) -> tuple[int, bool, float, bytes]:
    """Return the number of the event, whether the process has halted, the seconds, and the rest."""
    seconds = int.from_bytes(content[2:5]) / 1e6
    return content[0], content[1:2] == HALTED, seconds, content[5:]


def broken(error: FlowError) -> bytes:
    """Return the content of a packet that reports why a process cannot work."""
    return bytes([error.status]) + str(error).encode("utf-8", "backslashreplace")


def raise_broken(content: bytes) -> NoReturn:
    """Raise the error of such a packet."""
    raise error_of(content[0], content[1:].decode())


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, kind: bytes, content: bytes = b"") -> None:
    """Send one packet, or as many as the content needs.

    Raises:
        OSError: The other end is closed.
    """
    while len(content) > LARGEST:
        channel.send(_MORE + content[:LARGEST])
        content = content[LARGEST:]
    channel.send(kind + content)


def receive(
    channel: socket.socket, flags: int = 0, parts: list[bytes] | None = None
) -> tuple[bytes, bytes]:
    """Wait for a packet; return its kind and its content.

    Args:
        channel: The socket.
        flags: Those of recv(2).
        parts: Keeps the parts of large content after BlockingIOError, for the next call.

    Raises:
        BlockingIOError: The packet, or the rest of it, is not there, and `flags` has MSG_DONTWAIT.
        EOFError: The other end is closed.
        OSError: The connection is broken.
    """
    parts = [] if parts is None else parts
    while True:
        packet = channel.recv(LARGEST + 1, flags)
        if not packet:
            raise EOFError
        if packet[:1] != _MORE:
            break
        parts.append(packet[1:])
    content = b"".join([*parts, packet[1:]]) if parts else packet[1:]
    parts.clear()
    return packet[:1], content
