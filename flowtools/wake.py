"""Something to wait for with poll, rung from any thread or signal handler."""

import os
import select
from contextlib import suppress


class Wake:
    """An eventfd(2): readable once rung, until it is cleared."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to poll for reading."""
        return self._fd

    def ring(self) -> None:
        """Make it readable."""
        os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Make it not readable until it is rung again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def wait(self, seconds: float | None) -> bool:
        """Wait until it is rung, at most `seconds` (None: for ever); return whether it is.

        It stays rung.
        """
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(None if seconds is None else max(0.0, seconds) * 1000))

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self._fd)
