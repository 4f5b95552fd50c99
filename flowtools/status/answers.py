"""Read what many status sockets say, side by side.

A command that is stopped accepts a connection in its backlog and never answers. Asked one after
another, ten such commands would hold up the table for ten time-outs. So up to AT_ONCE sockets are
open at a time, and one thread waits for all of them with poll(2). Each has ANSWER_SECONDS from its
connection to the end of its line, however slowly it sends.
"""

import socket
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from time import monotonic

from flowtools.core.wait import wait

ANSWER_SECONDS = 3.0
"""Seconds within which a command must have answered."""

AT_ONCE = 200
"""Maximum number of commands that are asked at the same time; each needs a descriptor."""

MOST_BYTES = 1 << 20
"""Maximum size of an answer, in bytes."""

_TRY_AGAIN = 0.05
"""Seconds after which a connection is tried again that a full backlog has turned away."""


def answers(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes | None]]:
    """Yield each path with the line that its command has sent, in the order of their ends.

    The line is incomplete or empty if the command does not answer in time, and None if nobody
    listens at the path.
    """
    left = iter(paths)
    with ExitStack() as stack:
        asked: list[_Question] = []
        while True:
            while len(asked) < AT_ONCE and (path := next(left, None)):
                asked.append(stack.enter_context(closing(_Question(path))))
            if not asked:
                return
            _wait(asked)
            for each in asked:
                each.go_on()
            for each in asked:
                if each.is_over:
                    yield each.path, each.heard
            asked = [each for each in asked if not each.is_over]


class _Question:
    """A connection to the status socket of one command.

    Attributes:
        path: The status socket.
        heard: What the command has sent so far; None if nobody listens.
        is_connected: False until the command's backlog has had room for this connection.
        is_over: True once there is nothing to wait for any more.
    """

    def __init__(self, path: Path) -> None:
        """Connect to `path`."""
        self.path = path
        self.heard: bytes | None = b""
        self.is_connected = False
        self.is_over = False
        self.ends_at = monotonic() + ANSWER_SECONDS
        self._client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self.go_on()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def fileno(self) -> int:
        """Return the descriptor that is readable when the command has sent more."""
        return self._client.fileno()

    def go_on(self) -> None:
        """Connect, or read what has come; never waits."""
        try:
            with suppress(BlockingIOError):
                if not self.is_connected:
                    self._client.connect(str(self.path))
                    self.is_connected = True
                self._read()
        except (ConnectionRefusedError, FileNotFoundError):
            self.heard, self.is_over = None, True
        except OSError:
            self.is_over = True
        self.is_over = self.is_over or monotonic() >= self.ends_at
        if self.is_over:
            self._client.close()

    def _read(self) -> None:
        assert self.heard is not None
        while len(self.heard) < MOST_BYTES and not self.heard.endswith(b"\n"):
            piece = self._client.recv(65536)
            self.heard += piece
            if not piece:
                break
        self.is_over = True


def _wait(asked: list[_Question]) -> None:
    """Wait until one of the questions can go on, or its time is over."""
    if any(each.is_over for each in asked):
        return
    seconds = min(each.ends_at for each in asked) - monotonic()
    if not all(each.is_connected for each in asked):
        seconds = min(seconds, _TRY_AGAIN)
    wait(*(each for each in asked if each.is_connected), seconds=seconds)
