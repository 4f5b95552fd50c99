"""Read the state of every running command on this host from its status socket."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowtools.process.statussocket import directories

ANSWER_SECONDS = 3.0
"""Seconds that a command has to answer."""

MOST_BYTES = 65536
"""Maximum size of an answer, in bytes."""


@dataclass(frozen=True)
class State:
    """The state of one command; its attributes are those of the status socket's JSON object.

    Attributes:
        answers: False if the process exists but does not answer (it is stopped, or hangs).
    """

    command: str
    pid: int
    answers: bool = True
    unit: str = ""
    stdin: str = ""
    stdout: str = ""
    about: str = ""
    connection: str = ""
    rate: float = 0.0
    last_event: float | None = None
    last_error: str = ""
    last_error_age: float | None = None
    up: float = 0.0
    version: str = ""
    started: str = ""
    uid: int = -1
    figures: dict[str, float] = field(default_factory=dict)


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
            # Trust another user's directory only when root asks about all users.
            trusted = status.st_uid in (0, os.geteuid()) or os.geteuid() == 0
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
        with suppress(OSError):
            path.unlink()  # Of a command that was killed.
        return None
    except FileNotFoundError:
        return None
    except OSError:
        said = {}
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
