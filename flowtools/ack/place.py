"""The directory of the acknowledgement socket, which only this user can enter.

The directory is `flow-XXXXXXXX` in $XDG_RUNTIME_DIR, or else in the temporary directory. The
socket is bound as `new` and renamed to `ack` once it listens. So a socket `ack` that refuses
connections belongs to a process that was killed. The next process that makes a directory here
removes it.
"""

import errno
import os
import shutil
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from flowtools.ack.records import BYE
from flowtools.core.errors import ConfigurationError
from flowtools.core.log import get_log

LONGEST_PATH = 107
"""Maximum length of a Unix socket's path, in bytes (unix(7))."""

BACKLOG = 512
"""Connections that may wait to be accepted: a shell loop makes one for each event."""

UNFINISHED = 3600.0
"""Seconds after which a directory without a socket counts as left behind."""

_PREFIX = "flow-"
_NAMES = {"ack", "new"}

_log = get_log("flowtools.ack")


class Place:
    """The directory and the name of one acknowledgement socket.

    Attributes:
        path: The path of the socket.
    """

    def __init__(self) -> None:
        """Make the directory, and remove those that killed processes left beside it.

        Raises:
            ConfigurationError: The directory cannot be made, or other users could rename it.
        """
        base = _base()
        try:
            self._folder = tempfile.mkdtemp(prefix=_PREFIX, dir=base)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make a directory for the acknowledgement socket in '{base}': "
                f"{error.strerror}"
            ) from None
        self.path = f"{self._folder}/ack"
        # Compared with the time of our own directory and not with the clock: the file system has
        # set both.
        _remove_stale(base, os.lstat(self._folder).st_mtime - UNFINISHED)

    def listen(self) -> socket.socket:
        """Return a socket that listens at `path`; after an error the directory is removed.

        Raises:
            ConfigurationError: The socket cannot be made.
        """
        try:
            return _listen(self.path, f"{self._folder}/new")
        except BaseException:
            self.remove()
            raise

    def restore(self) -> bool:
        """Make the directory again under the same name; return whether it exists and is ours."""
        try:
            with suppress(FileExistsError):
                Path(self._folder).mkdir(mode=0o700)
            return _is_ours(self._folder)
        except OSError:
            return False

    def remove(self) -> None:
        """Remove the directory, if it is still ours."""
        with suppress(OSError):
            if _is_ours(self._folder):
                shutil.rmtree(self._folder)


def _listen(path: str, unfinished: str) -> socket.socket:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise ConfigurationError(
            f"cannot make the acknowledgement socket '{path}': a socket's path has at "
            f"most {LONGEST_PATH} bytes; set XDG_RUNTIME_DIR or TMPDIR to a shorter one"
        )
    inlet = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        # Renamed last: other processes remove an `ack` that refuses connections.
        inlet.bind(unfinished)
        Path(unfinished).chmod(0o600)
        inlet.listen(BACKLOG)
        Path(unfinished).rename(path)
    except OSError as error:
        inlet.close()
        raise ConfigurationError(
            f"cannot make the acknowledgement socket '{path}': {error.strerror}"
        ) from None
    return inlet


def _base() -> str:
    """Return the parent for our directory: one in which other users cannot rename it."""
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
    # In a directory with the sticky bit, such as /tmp, only the owner can rename what is there.
    shared = status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX
    return status.st_uid in (0, os.geteuid()) and not shared


def _is_ours(folder: str) -> bool:
    status = os.lstat(folder)
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & 0o077
    )


def _remove_stale(base: str, before: float) -> None:
    """Remove this user's stale directories: the socket is dead, or still missing since `before`."""
    with suppress(OSError), os.scandir(base) as found:
        for each in found:
            if each.name.startswith(_PREFIX):
                with suppress(OSError):
                    _remove_if_stale(each.path, before)


def _remove_if_stale(folder: str, before: float) -> None:
    if not _is_ours(folder):
        return
    names = {each.name for each in Path(folder).iterdir()}
    if not names <= _NAMES:
        return  # Another program's directory with a name like ours.
    if "ack" in names and not _is_dead(f"{folder}/ack"):
        return
    if "ack" not in names and os.lstat(folder).st_mtime > before:
        return  # Another process may be about to make its socket here.
    for name in names:
        if stat.S_ISSOCK(os.lstat(f"{folder}/{name}").st_mode):
            os.unlink(f"{folder}/{name}")  # noqa: PTH108  a name, not a Path
    os.rmdir(folder)  # noqa: PTH106  only when it is empty
    _log.debug("removed '%s', which a killed process had left behind", folder)


def _is_dead(path: str) -> bool:
    """Return whether no process listens at the socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(path)
            probe.send(BYE)  # So that a living source does not take our leaving for a crash.
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False
