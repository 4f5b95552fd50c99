"""The acknowledgement socket of a source, played by a test: it reads only on request."""

import select
import socket
from contextlib import suppress
from time import monotonic

from tests.running import SECONDS


class Receiver:
    """A socket listening at `path`; packets of all connections are read one by one."""

    def __init__(self, path):
        self.path = str(path)
        self.byes = self.accepted = 0
        self._patience = SECONDS
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listening.bind(self.path)
        self._listening.listen(16)
        self.connections = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def settimeout(self, seconds):
        self._patience = seconds

    def ackto(self, token):
        return f"unix:{self.path}#{token}"

    def recv(self, _size=0):
        """Return the next packet; packets with only `bye` are counted and skipped."""
        until = monotonic() + self._patience
        while True:
            ready, _, _ = select.select(
                [self._listening, *self.connections], [], [], max(0.0, until - monotonic())
            )
            if not ready:
                raise TimeoutError
            for each in ready:
                if each is self._listening:
                    self.connections.append(each.accept()[0])
                    self.accepted += 1
                    continue
                packet = each.recv(65536)
                if not packet:
                    self.connections.remove(each)
                    each.close()
                    continue
                said = packet.removesuffix(b"bye\n")
                self.byes += said != packet
                if said:
                    return said

    def lines(self, number):
        """Return the next `number` records."""
        lines = []
        while len(lines) < number:
            lines += self.recv().decode().splitlines()
        return lines

    def until_gone(self):
        """Read until at least one connection has opened and all have closed; return the records."""
        lines = []
        self.settimeout(0.2)
        until = monotonic() + SECONDS
        while not self.accepted or self.connections:
            assert monotonic() < until, "no connection has come and gone"
            with suppress(TimeoutError):
                lines += self.recv().decode().splitlines()
        self.settimeout(SECONDS)
        return lines

    def close(self):
        for each in (self._listening, *self.connections):
            each.close()
