"""Read the state of every running command on this host from its status socket.

Each long-running command listens on a socket in one of a few directories
(process/statussocket.py). The commands are asked one after another, in the calling thread. A
command that does not answer costs ANSWER_SECONDS and is listed as such, because a command that
hangs must not disappear from the list.
"""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowtools.process.statussocket import directories
from flowtools.process.vitals import Snapshot

ANSWER_SECONDS = 3.0
"""Seconds within which a command must answer."""

MOST_BYTES = 65536
"""Maximum size of an answer, in bytes."""


@dataclass(frozen=True, kw_only=True)
class State(Snapshot):
    """The snapshot of one command, and which command it is: the status socket's JSON object.

    Attributes:
        command: Name of the command.
        pid: Its process id; 0 if it is not known.
        answers: False if the process exists but does not answer (it is stopped, or hangs).
        unit: Its systemd unit; empty if it has none.
        stdin: Name of the pipe it reads, the same at both ends; empty if it does not read a pipe.
        stdout: Name of the pipe it writes.
        version: Its version of flowtools.
        started: When it was started (RFC 3339).
        uid: The user it runs as; -1 if that is not known.
    """

    command: str
    pid: int
    answers: bool = True
    unit: str = ""
    stdin: str = ""
    stdout: str = ""
    version: str = ""
    started: str = ""
    uid: int = -1


def running() -> list[State]:
    """Return the states of all commands that this user may ask, in the order of their starts."""
    found = {path: _ask(path) for folder in _folders() for path in sorted(folder.glob("*.sock"))}
    return sorted((each for each in found.values() if each), key=lambda each: -each.up)


def _folders() -> Iterator[Path]:
    """Yield the directories that may hold status sockets: for root those of all users."""
    seen = set()
    candidates = [
        *directories(),
        Path("/run/flowtools"),
        *Path("/run/flowtools").glob("*"),
        *Path("/run/user").glob("*/flowtools"),
        *Path("/tmp").glob("flowtools-[0-9]*"),  # noqa: S108  those of other users
    ]
    for folder in candidates:
        with suppress(OSError):
            status = folder.stat()
            # Anybody may make such a directory in /tmp, with sockets that lie. So the directory of
            # another user is trusted only when root asks about all users.
            trusted = status.st_uid in (0, os.geteuid()) or os.geteuid() == 0
            # The same directory may be found by two paths; its commands are to be listed once.
            key = (status.st_dev, status.st_ino)
            if trusted and key not in seen and folder.is_dir():
                seen.add(key)
                yield folder


def _ask(path: Path) -> State | None:
    """Return the state of the command behind `path`; None if it has ended."""
    pid, _, name = path.stem.partition("-")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(ANSWER_SECONDS)
            client.connect(str(path))
            said = _read(client)
    except ConnectionRefusedError:
        # Nobody listens: the command was killed and left its socket behind.
        with suppress(OSError):
            path.unlink()
        return None
    except FileNotFoundError:
        return None
    except OSError:
        said = {}
    # Commands of a newer version may say more.
    known = {key: value for key, value in said.items() if key in State.__dataclass_fields__}
    if "pid" not in known:
        known = {"command": name, "pid": int(pid) if pid.isdigit() else 0, "answers": False}
    return State(**known)


def _read(client: socket.socket) -> dict[str, Any]:
    data = b""
    while len(data) < MOST_BYTES and not data.endswith(b"\n"):
        piece = client.recv(MOST_BYTES)
        if not piece:
            break
        data += piece
    try:
        said = json.loads(data)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
