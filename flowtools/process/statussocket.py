"""The status socket of a long-running command, and its answer to SIGUSR1.

Each such command listens on a Unix socket in a directory that flow-status knows. A client gets one
JSON object, and the connection is closed. One thread serves the socket, samples the figures every
SAMPLE_EVERY seconds, and prints state and stacks when SIGUSR1 asks for them; the signal handler
only writes to a descriptor. `close` ends and joins the thread.

Nothing here may keep a command from its work: if the socket cannot be made, the command runs
without one.
"""

import json
import os
import re
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from pathlib import Path
from threading import Thread, current_thread, main_thread
from threading import enumerate as all_threads
from types import FrameType
from typing import Any, Literal

from flowtools import __version__
from flowtools.core.event import rfc3339
from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import HasFileno, Wake, wait
from flowtools.process import console
from flowtools.process.certificates import certificates
from flowtools.process.systemd import Notifier
from flowtools.process.vitals import Vitals, as_dict, in_a_line

SAMPLE_EVERY = 10.0
"""Seconds between two samples of the number of events."""

DEPTH = 6
"""Number of innermost frames that are printed of each thread."""

_LONGEST_PATH = 107
"""Maximum length of a Unix socket's path, in bytes (unix(7))."""

_ANSWER_SECONDS = 2.0
"""Seconds within which a client must read its answer."""

_UNIT = re.compile(r"/([^/]+\.(?:service|scope))$", re.MULTILINE)

_log = get_log("flowtools.status")


def directories() -> list[Path]:
    """Return the directories in which status sockets may be, in order of preference.

    Services that systemd starts use a directory below /run/flowtools, which a unit's
    RuntimeDirectory= makes. A user's commands use $XDG_RUNTIME_DIR, or a directory of their own in
    the temporary directory.
    """
    given = [each for each in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if each]
    found = [Path(each) for each in given if Path(each).parts[:3] == ("/", "run", "flowtools")]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or ""
    if Path(runtime).is_absolute() and os.access(runtime, os.W_OK | os.X_OK):
        found.append(Path(runtime) / "flowtools")
    with suppress(FileNotFoundError):  # There is no writable temporary directory.
        found.append(Path(tempfile.gettempdir()) / f"flowtools-{os.geteuid()}")
    return found


class StatusSocket:
    """Shows the state of this command to flow-status and on SIGUSR1."""

    def __init__(
        self,
        command: str,
        vitals: Vitals,
        notifier: Notifier | None = None,
        *,
        is_piped: bool = True,
    ) -> None:
        """Prepare to show the state of `command` (its name); `start` begins.

        Args:
            command: The name of the command.
            vitals: Its figures.
            notifier: Sends the same state in one line to the service manager, if there is one.
            is_piped: Whether the events of a pipeline pass through its standard input and output.
        """
        self._notifier = notifier
        self._had_trouble = False
        self._command = command
        self._vitals = vitals
        self._ending = Wake()
        self._dump = Wake()
        self._started = time.time()
        # Looked up now: while user code runs, descriptor 1 leads elsewhere (stdout.py).
        ends = {"stdin": 0, "stdout": 1}
        self._pipes = {name: pipe_of("self", fd) if is_piped else "" for name, fd in ends.items()}
        self._path: Path | None = None
        self._inlet = self._bound()
        self._thread = Thread(target=self._serve, name="status", daemon=True)
        self._before: Any = None

    def start(self) -> None:
        """Start the thread and handle SIGUSR1."""
        self._vitals.sample()
        if current_thread() is main_thread():
            self._before = signal.signal(signal.SIGUSR1, self._asked)
        start_thread(self._thread)

    def close(self) -> None:
        """Remove the socket; end the thread and join it."""
        if self._before is not None and signal.getsignal(signal.SIGUSR1) == self._asked:
            signal.signal(signal.SIGUSR1, self._before)
        self._ending.ring()
        self._thread.join()
        if self._inlet is not None:
            self._inlet.close()
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
        self._ending.close()
        self._dump.close()

    def _asked(self, signum: int, frame: FrameType | None) -> None:
        self._dump.ring()

    def _bound(self) -> socket.socket | None:
        for folder in directories():
            try:
                return self._bound_in(folder)
            except OSError as error:
                _log.debug("cannot make the status socket in '%s': %s", folder, error)
        return None

    def _bound_in(self, folder: Path) -> socket.socket:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (0, os.geteuid()):
            raise OSError("it belongs to another user")
        _remove_stale(folder)
        path = folder / f"{os.getpid()}-{self._command}.sock"
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise OSError("its path is too long for a socket")
        inlet = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with suppress(FileNotFoundError):
                path.unlink()  # The socket of an earlier process with our number.
            inlet.bind(str(path))
            # Nobody can connect before `listen`, so the mode is right from the first connection on.
            path.chmod(0o600)
            inlet.listen(16)
        except OSError:
            inlet.close()
            raise
        self._path = path
        return inlet

    def _serve(self) -> None:
        waited_for: list[HasFileno] = [self._ending, self._dump]
        if self._inlet is not None:
            waited_for.append(self._inlet)
        told_at = -SAMPLE_EVERY
        while True:
            ready = wait(*waited_for, seconds=SAMPLE_EVERY)
            if self._ending.fileno() in ready:
                return
            # An error must not end the thread, which also warns of expiring certificates.
            try:
                self._vitals.sample()
                if time.monotonic() - told_at >= SAMPLE_EVERY:
                    told_at = time.monotonic()
                    self._tell()
                certificates.look()
                if self._dump.fileno() in ready:
                    self._dump.clear()
                    dump(self._vitals)
                if self._inlet is not None and self._inlet.fileno() in ready:
                    self._answer(self._inlet)
            except Exception:  # noqa: BLE001  the top of a thread
                _log.debug("cannot show the state", exc_info=True)

    def _tell(self) -> None:
        """Send the state to the service manager.

        A service is one pipeline and has one status line. The last command of the pipeline writes
        it. Another command writes it while it is in trouble, and once more when that is over.
        """
        snapshot = self._vitals.snapshot()
        has_trouble = bool(snapshot.trouble())
        is_last = not self._pipes["stdout"]  # Its output goes to no other command.
        if self._notifier is not None and (is_last or has_trouble or self._had_trouble):
            self._notifier.status(in_a_line(self._command, snapshot))
        self._had_trouble = has_trouble

    def _answer(self, inlet: socket.socket) -> None:
        with suppress(BlockingIOError):
            client, _ = inlet.accept()
            with client, suppress(OSError):
                client.settimeout(_ANSWER_SECONDS)
                client.sendall(json.dumps(self._state()).encode() + b"\n")

    def _state(self) -> dict[str, Any]:
        return {
            "command": self._command,
            "version": __version__,
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "unit": unit_of("self"),
            "started": rfc3339(self._started),
            **self._pipes,
            **as_dict(self._vitals.snapshot()),
        }


def dump(vitals: Vitals) -> None:
    """Print the figures and the stack of each thread as messages."""
    snapshot = vitals.snapshot()
    figures = ", ".join(f"{name} {value:g}" for name, value in snapshot.figures.items())
    state = snapshot.trouble() or snapshot.connection
    about = "; ".join(each for each in (snapshot.about, state, figures) if each)
    console.say(f"state: {about or 'no figures'}; {snapshot.rate:.1f} events/s")
    names = {thread.ident: thread.name for thread in all_threads()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  no other way to see them
        console.say(f"thread '{names.get(ident, ident)}':")
        for entry in traceback.extract_stack(frame)[-DEPTH:]:
            console.say(f"    {entry.filename}:{entry.lineno} in {entry.name}: {entry.line or ''}")


def is_dead(path: Path) -> bool:
    """Return whether the command that made the status socket `path` has ended.

    A socket that refuses connections may belong to a command that is about to listen, and a process
    id that is not known here to a command in a container.
    """
    pid = path.name.partition("-")[0]
    if not pid.isdigit() or Path(f"/proc/{pid}").exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def _remove_stale(folder: Path) -> None:
    """Remove the sockets of killed commands, at most 50 per call, so that a start stays quick."""
    for path in list(folder.glob("*.sock"))[:50]:
        if is_dead(path):
            with suppress(OSError):
                path.unlink()


def unit_of(pid: int | Literal["self"]) -> str:
    """Return the systemd unit of a process; "" if it has none, or is not known."""
    try:
        found = _UNIT.search(Path(f"/proc/{pid}/cgroup").read_text())
    except OSError:
        return ""
    return found[1] if found and not found[1].startswith(("session-", "user@")) else ""


def pipe_of(pid: int | Literal["self"], fd: int) -> str:
    """Return a name for the pipe at `fd` of a process, the same at both ends; "" if it has none."""
    try:
        status = Path(f"/proc/{pid}/fd/{fd}").stat()
    except OSError:
        return ""
    return f"{status.st_dev}:{status.st_ino}" if stat.S_ISFIFO(status.st_mode) else ""
