"""A shell pipeline of real commands that is started again when it has ended, as by systemd."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.brokers.server import session_of
from tests.conftest import environment

RESTART_AFTER = 0.1
"""Seconds between the end of a pipeline and its next start (systemd's RestartSec)."""


class Pipeline:
    """A line for bash, with pipefail, in a session of its own.

    No thread watches the pipeline: code that waits for something calls `tend` now and then.

    Attributes:
        starts: How often it has been started.
        statuses: The exit status of each run that has ended, as reported by the shell.
        log: The file that has its standard error.
    """

    def __init__(self, line, folder, name="pipeline", **variables):
        """Prepare to run `line` in `folder`, with these environment variables."""
        self._line = line
        self._folder = Path(folder)
        self._environment = environment(PYTHONFAULTHANDLER="1", **variables)
        self._process = None
        self._ended_at = None
        self.log = self._folder / f"{name}.log"
        self.starts = 0
        self.statuses = []

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill_all()

    def start(self):
        """Start it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "bash", "-o", "pipefail", "-c", self._line],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1
        self._ended_at = None

    @property
    def status(self):
        """The exit status of the last run; None: it is still running."""
        return self._process.poll()

    def tend(self):
        """Start it again if it has ended."""
        status = self._process.poll()
        if status is None:
            return
        if self._ended_at is None:
            self._ended_at = time.monotonic()
            self.statuses.append(status)
        elif time.monotonic() - self._ended_at >= RESTART_AFTER:
            self.start()

    def processes(self):
        """Return the commands that run: their process ids by name."""
        found = {}
        for pid in session_of(self._process.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                # For a script the process is the interpreter, with the script as first argument.
                names = [Path(word).name for word in words[:2]]
                found |= {name: pid for name in names if name.startswith("flow-")}
        return found

    def kill(self, command, number=signal.SIGKILL):
        """Send one of its commands a signal; return whether it was running."""
        pid = self.processes().get(command)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            return True
        return False

    def end(self, command, seconds=60):
        """Ask `command` to end, and return the pipeline's status once all of it has."""
        assert self.kill(command, signal.SIGTERM), f"{command} is not running"
        return self._process.wait(seconds)

    def kill_all(self):
        """End everything with SIGKILL, as when a machine dies."""
        if self._process is None:
            return
        for pid in session_of(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
