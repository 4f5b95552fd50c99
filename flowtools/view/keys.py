"""Reads the keys that are pressed; they come from the terminal, because stdin is a pipe of events.

The terminal is set to give each key at once and without echo. Whatever happens, it must get its old
settings back, or the shell would not show what the user types afterwards.
"""

import os
import re
import termios
import tty
from collections.abc import Iterator
from typing import Self

_SEQUENCES = {
    "\x1b[A": "up",
    "\x1bOA": "up",
    "\x1b[B": "down",
    "\x1bOB": "down",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x15": "erase",  # Control-U, as the line discipline has it.
}
# Also unknown sequences are matched as a whole, so that their letters are not taken for keys.
_KEY = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[A-Za-z]|)|.", re.DOTALL)


class Keys:
    """The terminal's keyboard, without echo and without waiting for Return.

    Control-C and Control-Z still work. The file descriptor becomes readable when a key is pressed.

    Raises:
        OSError: There is no terminal, or this process runs in the background.
    """

    def __init__(self, path: str = "/dev/tty") -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            # To change the terminal's settings would stop a background process (SIGTTOU).
            if os.tcgetpgrp(self._fd) != os.getpgrp():
                raise OSError("the terminal is not ours: this process runs in the background")
            self._before = termios.tcgetattr(self._fd)
        except (OSError, termios.error) as error:
            os.close(self._fd)
            raise OSError(str(error)) from None
        self._half = b""

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *error: object) -> None:
        self.give_back()
        os.close(self._fd)

    def fileno(self) -> int:
        """Return the file descriptor to poll."""
        return self._fd

    def take(self) -> None:
        """Set the terminal to give each key as soon as it is pressed."""
        tty.setcbreak(self._fd, termios.TCSADRAIN)

    def give_back(self) -> None:
        """Restore the terminal's settings."""
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except termios.error:
            return  # The terminal has gone, so there is nothing to restore.

    def read(self) -> Iterator[str]:
        """Yield the keys that were pressed, each a character or a name such as "up".

        Raises:
            OSError: The terminal has gone.
        """
        pressed = os.read(self._fd, 1024)
        if not pressed:
            raise OSError("the terminal has gone")
        data = self._half + pressed
        try:
            text, self._half = data.decode(), b""
        except UnicodeDecodeError as error:
            # A read may end in the middle of a character (UTF-8 has at most 4 bytes). The rest
            # comes with the next read; anything longer is not UTF-8 and is dropped.
            whole = data[: error.start]
            self._half = data[error.start :] if len(data) - error.start < 4 else b""
            text = whole.decode()
        for found in _KEY.finditer(text):
            key = found.group()
            if key in _SEQUENCES:
                yield _SEQUENCES[key]
            elif key.isprintable():
                yield key
