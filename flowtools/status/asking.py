"""Read the state of every running command on this host from its status socket.

Each long-running command listens on a socket in one of a few directories
(process/statussocket.py). All commands are asked at the same time (answers.py). A command that does
not answer is listed as such, because a command that hangs must not disappear from the list.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowtools.process.statussocket import directories, is_dead, pipe_of, unit_of
from flowtools.process.vitals import Snapshot
from flowtools.status.answers import answers

MOST = 1e18
"""Limit of the numbers in an answer."""


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
    paths = [path for folder in _folders() for path in sorted(folder.glob("*.sock"))]
    found = []
    for path, said in answers(paths):
        if said is not None:
            found.append(_state(path, said))
        elif is_dead(path):
            with suppress(OSError):
                path.unlink()
    return sorted((each for each in found if each), key=lambda each: (-each.up, each.pid))


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


def _state(path: Path, line: bytes) -> State | None:
    """Return the state of the command behind `path` from its answer; None if it has ended."""
    said = {
        name: value
        for name, value in _object(line).items()
        # Another version may say more, or say it otherwise; and root asks other users' commands.
        if name in State.__dataclass_fields__
        and _fits(value, State.__dataclass_fields__[name].type)
    }
    if {"command", "pid"} <= said.keys():
        return State(**said)
    if is_dead(path):  # It was killed while it answered.
        return None
    return _silent(path)


def _silent(path: Path) -> State:
    """Return what the system knows of a command that does not answer."""
    text, _, name = path.stem.partition("-")
    pid = int(text) if text.isdigit() else 0
    found = State(command=name, pid=pid, answers=False, unit=unit_of(pid))
    with suppress(OSError):
        status = path.stat()
        # A command makes its socket when it starts.
        found = replace(found, up=max(0.0, time.time() - status.st_mtime), uid=status.st_uid)
    return replace(found, stdin=pipe_of(pid, 0), stdout=pipe_of(pid, 1))


def _object(line: bytes) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _fits(value: Any, kind: Any) -> bool:
    """Return whether a JSON value may be that of a field with the type `kind`."""
    if kind == dict[str, float]:
        return isinstance(value, dict) and all(_fits(each, float) for each in value.values())
    if isinstance(value, int | float):
        # Not true of NaN, nor of numbers that JSON has and the table could not show.
        return -MOST < value < MOST and (isinstance(value, kind) or isinstance(0.0, kind))
    return isinstance(value, kind)
