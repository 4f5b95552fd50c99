"""Packets between the pool and the processes of its Workers.

Each is one byte that says what it is, and content. They go through a Unix socket of type
SOCK_SEQPACKET: a packet is read whole or not at all, and by one process alone. Content that
is too large for a packet comes in several, all but the last of which say that more follows.
"""

import socket

READY, BROKEN, CLEAN = b"R", b"B", b"C"
"""The Worker is configured; it cannot be; `clean_up` has returned, or has raised."""

EVENT, BATCH, FILE, DESCRIPTOR = b"V", b"M", b"F", b"G"
"""An event; several, a line each; either of them, too large for a packet (the content says
which), in the file whose descriptor comes next."""

DONE, LINES, ERROR = b"D", b"L", b"E"
"""`start` has returned nothing; has returned lines; it, or `start_many`, has raised."""

ANSWERS, FAILED = b"A", b"X"
"""What became of each event of a batch; that one of a batch has failed, which still runs."""

LARGEST = 65536
"""Bytes of content that one packet may have. The kernel takes some 200 KiB."""

_MORE = b"+"


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new connection."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, kind: bytes, content: bytes = b"") -> None:
    """Send one packet, or the several that the content needs.

    Raises:
        OSError: The other end is closed.
    """
    while len(content) > LARGEST:
        channel.send(_MORE + content[:LARGEST])
        content = content[LARGEST:]
    channel.send(kind + content)


def receive(channel: socket.socket) -> tuple[bytes, bytes]:
    """Wait for a packet; return what it is and its content.

    Raises:
        EOFError: The other end is closed.
        OSError: The connection is broken.
    """
    parts: list[bytes] = []
    while True:
        packet = channel.recv(LARGEST + 1)
        if not packet:
            raise EOFError
        if packet[:1] != _MORE:
            break
        parts.append(packet[1:])
    return packet[:1], b"".join([*parts, packet[1:]]) if parts else packet[1:]
