"""Acknowledgement through a pipe, the receiving side: a datagram socket of our own.

The socket lies in a new directory that only this user can enter, and goes with it. One
thread reads it; `start` starts that thread, `close` joins it. Whoever cleans up a temporary
directory may take the socket away: it is then made anew at the same place.
"""

import os
import secrets
import select
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import NamedTuple, Protocol

from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log

_LONGEST_PATH = 107
"""Bytes that the path of a Unix socket may have (unix(7))."""

_DATAGRAM = 65536

LOOK_EVERY = 10.0
"""Seconds after which a quiet socket is looked for at its place."""

_log = get_log("flowtools.ack")


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
        """Hand each batch of acknowledgements to `receive`, in another thread.

        An empty batch says that some may have been lost.
        """

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
        base = _base()
        try:
            self._folder = tempfile.mkdtemp(prefix="flow-", dir=base)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make a directory for the acknowledgement socket in '{base}': "
                f"{error.strerror}"
            ) from None
        self.path = f"{self._folder}/ack"
        try:
            self._inlet = self._bound()
        except BaseException:
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
        with suppress(OSError):
            if _is_ours(self._folder):
                shutil.rmtree(self._folder)
        if self.malformed:
            _log.warning("%d lines at the socket were no acknowledgement", self.malformed)

    def _bound(self) -> socket.socket:
        if len(os.fsencode(self.path)) > _LONGEST_PATH:
            raise ConfigurationError(
                f"cannot make the acknowledgement socket '{self.path}': a socket's path has at "
                f"most {_LONGEST_PATH} bytes; set XDG_RUNTIME_DIR or TMPDIR to a shorter one"
            )
        inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            inlet.bind(self.path)
            Path(self.path).chmod(0o600)
        except OSError as error:
            inlet.close()
            raise ConfigurationError(
                f"cannot make the acknowledgement socket '{self.path}': {error.strerror}"
            ) from None
        return inlet

    def _run(self, receive: Callable[[list[Ack]], None]) -> None:
        poller = self._poller()
        ending = False
        while not ending:
            ready = dict(poller.poll(LOOK_EVERY * 1000))
            ending = self._ending in ready
            if not ready and not os.path.lexists(self.path) and self._remake():
                poller = self._poller()
                receive([])
            while acks := self._receive():
                try:
                    receive(acks)
                except Exception:  # noqa: BLE001  the top of a thread
                    _log.exception("internal error while acknowledging")

    def _poller(self) -> select.poll:
        poller = select.poll()
        poller.register(self._inlet, select.POLLIN)
        poller.register(self._ending, select.POLLIN)
        return poller

    def _remake(self) -> bool:
        """Make the socket anew where somebody has removed it; return whether it is there."""
        try:
            with suppress(FileExistsError):
                Path(self._folder).mkdir(mode=0o700)
            if not _is_ours(self._folder):
                raise ConfigurationError(f"'{self._folder}' belongs to somebody else now")
            inlet = self._bound()
        except (OSError, ConfigurationError) as error:
            _log.error("the acknowledgement socket '%s' was removed: %s", self.path, error)
            return False
        self._inlet.close()
        self._inlet = inlet
        _log.error(
            "the acknowledgement socket '%s' was removed, and has been made anew; keep whatever"
            " cleans up there away from it",
            self.path,
        )
        return True

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


def _base() -> str:
    """Return the directory for the socket's own: where others cannot move what is in it."""
    base = os.environ.get("XDG_RUNTIME_DIR") or ""
    if Path(base).is_absolute() and os.access(base, os.W_OK | os.X_OK) and _is_safe(base):
        return base
    base = tempfile.gettempdir()
    if not _is_safe(base):
        raise ConfigurationError(
            f"cannot make the acknowledgement socket in '{base}': other users can rename and"
            " remove what is there; set XDG_RUNTIME_DIR or TMPDIR to a directory of your own"
        )
    return base


def _is_safe(folder: str) -> bool:
    status = Path(folder).stat()
    shared = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and not shared


def _is_ours(folder: str) -> bool:
    status = os.lstat(folder)
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o077
    )


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
