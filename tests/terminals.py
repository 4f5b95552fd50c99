"""A real (pseudo) terminal with a program on it, and the content of its screen."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte

from tests.conftest import BIN, environment
from tests.running import SECONDS


class Terminal:
    """Runs a command on its own terminal; `screen` is what a person would see there."""

    def __init__(self, command, *, columns=100, rows=24, cwd=None, **env):
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""
        env = {"TERM": "xterm-256color", "PATH": environment()["PATH"]} | env
        kept = {k: v for k, v in environment().items() if k not in ("NO_COLOR", "LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            ["bash", "--norc", "-o", "pipefail", "-c", command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=kept | env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def resize(self, columns, rows):
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)
        if hasattr(self, "screen"):
            self.screen.resize(rows, columns)

    def press(self, keys):
        os.write(self.master, keys.encode())

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    def read(self, seconds):
        """Read the program's output; return False once the terminal has been closed."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data
        self.stream.feed(data)
        return True

    def wait_for(self, condition, seconds=SECONDS):
        """Wait until `condition()` is true, or, if it is a text, until the screen shows it."""
        deadline = time.monotonic() + seconds
        check = condition if callable(condition) else lambda: condition in self.text
        while not check():
            assert time.monotonic() < deadline, f"{condition!r} did not come:\n{self.text}"
            self.read(0.1)

    def end(self, seconds=SECONDS):
        """Read all output of the command, wait for its end, and return its exit status."""
        deadline = time.monotonic() + seconds
        while self.read(0.1) and time.monotonic() < deadline:
            continue
        return self.process.wait(timeout=seconds)

    def close(self):
        os.close(self.master)  # This hangs up: the kernel sends SIGHUP.
        self.process.kill()
        self.process.wait()


__all__ = ["BIN", "Terminal"]
