"""One connection to an acknowledgement socket: its packets, and the process at the other end.

The receiver's thread owns all connections and polls them (receiver.py). The socket is of type
SOCK_SEQPACKET: one recv(2) returns one packet, whole, and an empty one is the end. The kernel says
which process has connected, so that messages can name it and other users are refused.
"""

import os
import socket
import struct
from pathlib import Path

from flowtools.ack.records import Packet, read_packet

_LARGEST = 65536
_PACKETS = 16
"""Packets that one connection may deliver before it is another connection's turn."""

_CREDENTIALS = struct.Struct("iII")
"""struct ucred of Linux: pid, uid, gid (unix(7), SO_PEERCRED)."""


class Connection:
    """An accepted connection.

    Attributes:
        who: The process at the other end, such as "flow-work (process 4711)".
        uid: The user ID of that process when it connected.
        has_ended: Whether the other end is closed and everything from it has been read.
        said_bye: Whether the process said that it has settled everything it took.
    """

    def __init__(self, accepted: socket.socket) -> None:
        """Take over `accepted`."""
        self._socket = accepted
        accepted.setblocking(False)
        raw = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, self.uid, _ = _CREDENTIALS.unpack(raw)
        self.who = f"{_name_of(pid)} (process {pid})"
        self.has_ended = False
        self.said_bye = False

    @property
    def is_foreign(self) -> bool:
        """Whether the process at the other end belongs to another user who is not root."""
        return self.uid not in (0, os.geteuid())

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._socket.fileno()

    def read(self) -> Packet:
        """Return what has arrived, at most _PACKETS packets; never waits."""
        acks = []
        malformed = 0
        for _ in range(_PACKETS):
            try:
                packet = self._socket.recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                packet = b""  # A reset is an end, too.
            if not packet:
                self.has_ended = True
                break
            said = read_packet(packet)
            acks += said.acks
            malformed += said.malformed
            self.said_bye = said.bye  # The last packet counts: more after a `bye` takes it back.
        return Packet(acks, malformed, self.said_bye)

    def close(self) -> None:
        """Close our end."""
        self._socket.close()


def _name_of(pid: int) -> str:
    """Return a process's name: its program, or the script that an interpreter runs."""
    # Called on accept: a process that acknowledges one event may be gone a moment later.
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "a program"
    names = [each.rpartition("/")[2] for each in words[:2]]
    if len(names) == 2 and names[0].startswith("python") and not names[1].startswith("-"):
        return names[1] or names[0]
    return names[0] or "a program"
