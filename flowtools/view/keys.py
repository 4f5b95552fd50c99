"""Keys that are pressed while standard input is a pipe: they come from the terminal itself."""

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
_KEY = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|O[A-Za-z]|)|.", re.DOTALL)


class Keys:
    """The terminal's keyboard, without echo and without waiting for Return.

    Control-C and Control-Z still do what they do. Its file descriptor becomes readable
    when a key is pressed.

    Raises:
        OSError: There is no terminal, or it is another process group's just now.
    """

    def __init__(self, path: str = "/dev/tty") -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        try:
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
        """Get each key as it is pressed."""
        tty.setcbreak(self._fd, termios.TCSADRAIN)

    def give_back(self) -> None:
        """Leave the terminal as it was."""
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except termios.error:
            return  # It has gone.

    def read(self) -> Iterator[str]:
        """Yield the keys that were pressed: a character, or a name such as "up".

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
            # The rest of a character may still be on its way.
            whole = data[: error.start]
            self._half = data[error.start :] if len(data) - error.start < 4 else b""
            text = whole.decode()
        for found in _KEY.finditer(text):
            key = found.group()
            if key in _SEQUENCES:
                yield _SEQUENCES[key]
            elif key.isprintable():
                yield key
