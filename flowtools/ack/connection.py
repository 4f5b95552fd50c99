"""One connection to an acknowledgement socket: its packets, and who is at the other end."""

import os
import socket
import struct
from pathlib import Path

from flowtools.ack.records import Packet, read_packet

_LARGEST = 65536
_PACKETS = 16
"""Packets that are read before another connection has its turn."""

_CREDENTIALS = struct.Struct("iII")
"""struct ucred of Linux: pid, uid, gid (unix(7), SO_PEERCRED)."""


class Connection:
    """A connection that has been accepted.

    Attributes:
        who: Its process, such as "flow-work (process 4711)".
        uid: The user of that process, when it connected.
        has_ended: The other end is closed, and everything from it has been read.
        said_bye: It has settled everything that it took.
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
        """Whether another user is at the other end, and not root."""
        return self.uid not in (0, os.geteuid())

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._socket.fileno()

    def read(self) -> Packet:
        """Return what has come by now, some packets at most; never waits."""
        acks = []
        malformed = 0
        for _ in range(_PACKETS):
            try:
                packet = self._socket.recv(_LARGEST)
            except BlockingIOError:
                break
            except OSError:
                packet = b""
            if not packet:
                self.has_ended = True
                break
            said = read_packet(packet)
            acks += said.acks
            malformed += said.malformed
            self.said_bye = said.bye
        return Packet(acks, malformed, self.said_bye)

    def close(self) -> None:
        """Close our end."""
        self._socket.close()


def _name_of(pid: int) -> str:
    """Return what to call a process: its program, or the script that an interpreter runs."""
    # Read at once: a process that acknowledges one event may be gone a moment later.
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return "a program"
    names = [each.rpartition("/")[2] for each in words[:2]]
    if len(names) == 2 and names[0].startswith("python") and not names[1].startswith("-"):
        return names[1] or names[0]
    return names[0] or "a program"
