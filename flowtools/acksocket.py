"""Acknowledgement through a pipe, the receiving side: a datagram socket of our own.

The socket lies in a new directory that only this user can enter, and goes with it. One
thread reads it; `start` starts that thread, `close` joins it.
"""

import logging
import os
import secrets
import select
import shutil
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Protocol

from flowtools.errors import ConfigurationError

_LONGEST_PATH = 107
"""Bytes that the path of a Unix socket may have (unix(7))."""

_DATAGRAM = 65536

_log = logging.getLogger("flowtools.ack")


class Ack(NamedTuple):
    """One line of a datagram: what became of event `number` of connection `epoch`."""

    epoch: str
    number: int
    done: bool


def new_epoch() -> str:
    """Return a token that nobody can guess, for the acknowledgements of one connection."""
    return secrets.token_urlsafe(9)


class AckInlet(Protocol):
    """Receives acknowledgements for a source."""

    def ackto(self, epoch: str) -> str:
        """Return what `ackto` begins with; the event's number completes it."""

    def start(self, receive: Callable[[list[Ack]], None]) -> None:
        """Hand each batch of acknowledgements to `receive`, in another thread."""

    def close(self) -> None:
        """Hand on what has come so far, and end; a second time does nothing."""


class AckSocket:
    """Receives acknowledgements and hands them on, a batch at a time.

    Attributes:
        path: The socket.
        malformed: How many lines were no acknowledgement.
    """

    def __init__(self) -> None:
        """Make the socket.

        Raises:
            ConfigurationError: There is no place for it.
        """
        self.malformed = 0
        self._thread: Thread | None = None
        base = os.environ.get("XDG_RUNTIME_DIR") or ""
        if not Path(base).is_absolute() or not os.access(base, os.W_OK | os.X_OK):
            base = tempfile.gettempdir()
        try:
            self._folder = tempfile.mkdtemp(prefix="flow-", dir=base)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make a directory for the acknowledgement socket in '{base}': "
                f"{error.strerror}"
            ) from None
        self.path = f"{self._folder}/ack"
        self._inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._bind()
        except BaseException:
            self._inlet.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._ending = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ackto(self, epoch: str) -> str:
        """Return what `ackto` begins with; the event's number completes it."""
        return f"unix:{self.path}#{epoch}."

    def start(self, receive: Callable[[list[Ack]], None]) -> None:
        """Hand each batch of acknowledgements to `receive`, in a thread of its own."""
        self._thread = Thread(target=self._run, args=(receive,), name="ack-socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hand on what has come so far, end the thread and remove the socket."""
        if self._ending < 0:
            return
        os.eventfd_write(self._ending, 1)
        if self._thread is not None:
            self._thread.join()
        self._inlet.close()
        os.close(self._ending)
        self._ending = -1
        shutil.rmtree(self._folder, ignore_errors=True)
        if self.malformed:
            _log.warning("%d lines at the socket were no acknowledgement", self.malformed)

    def _bind(self) -> None:
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise ConfigurationError(
                f"cannot make the acknowledgement socket '{self.path}': a socket's path has at "
                f"most {_LONGEST_PATH} bytes; set XDG_RUNTIME_DIR or TMPDIR to a shorter one"
            )
        try:
            self._inlet.bind(self.path)
            Path(self.path).chmod(0o600)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make the acknowledgement socket '{self.path}': {error.strerror}"
            ) from None

    def _run(self, receive: Callable[[list[Ack]], None]) -> None:
        poller = select.poll()
        poller.register(self._inlet, select.POLLIN)
        poller.register(self._ending, select.POLLIN)
        ending = False
        while not ending:
            ending = self._ending in dict(poller.poll())
            while acks := self._receive():
                try:
                    receive(acks)
                except Exception:  # noqa: BLE001  the top of a thread
                    _log.exception("internal error while acknowledging")

    def _receive(self) -> list[Ack]:
        """Return what is in the socket now, up to some datagrams."""
        acks: list[Ack] = []
        for _ in range(16):
            try:
                datagram = self._inlet.recv(_DATAGRAM)
            except BlockingIOError:
                break
            found, malformed = read_acks(datagram)
            acks += found
            self.malformed += malformed
        return acks


def read_acks(datagram: bytes) -> tuple[list[Ack], int]:
    """Return the acknowledgements of a datagram, and how many of its lines are none."""
    acks: list[Ack] = []
    malformed = 0
    for line in datagram.decode("latin-1").split("\n"):
        token, _, verdict = line.partition(" ")
        epoch, _, digits = token.rpartition(".")
        if (
            verdict in ("ack", "nack")
            and digits.isascii()
            and digits.isdigit()
            and len(digits) < 20
        ):
            acks.append(Ack(epoch, int(digits), verdict == "ack"))
        elif line:
            malformed += 1
    return acks, malformed
