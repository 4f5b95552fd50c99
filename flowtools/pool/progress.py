"""--progress: shows people how far a pool is.

On a terminal this is a live display, drawn a few times per second by a thread of its own, which
`start` starts and `stop` joins. Elsewhere nothing is shown until `stop` writes one summary line.
"""

import os
import stat
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from flowtools.core.threads import start_thread
from flowtools.pool.outcome import Attempt
from flowtools.pool.tally import Figures, Share, Snapshot, Tally, share_of, summary

REFRESH = 0.25
"""Seconds between two drawings."""


class Progress:
    """Shows the progress of a pool on `stream`.

    Args:
        stream: The stream to draw on; only a terminal gets the live display.
        say: Writes the summary when the display has been removed.
        file: The descriptor of the input; if it is a file, the share that is done is shown.
    """

    def __init__(self, stream: TextIO, say: Callable[[str], None], file: int | None = None) -> None:
        self._file = file if file is not None and _is_file(file) else None
        self._tally = Tally()
        self._stream = stream
        self._say = say
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def record(self, attempt: Attempt) -> None:
        """Count an attempt."""
        self._tally.record(attempt)

    def start(self, snapshot: Callable[[], Snapshot]) -> None:
        """Begin to draw the state that `snapshot` returns, if there is a terminal.

        `snapshot` is called from the display's thread.
        """
        if self._stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
            self._thread = threading.Thread(
                target=self._draw, args=(snapshot,), name="progress", daemon=True
            )
            start_thread(self._thread)

    def stop(self) -> None:
        """Remove the display and write the summary line."""
        self._ending.set()
        if self._thread is not None:
            # A bounded wait: the user may have stopped the terminal with Control-S.
            self._thread.join(2.0)
        with suppress(OSError):  # The terminal has gone.
            self._say(summary(self._tally.figures()))

    def _share(self, figures: Figures, snapshot: Snapshot) -> Share | None:
        if self._file is None:
            return None
        read = os.lseek(self._file, 0, os.SEEK_CUR)
        return share_of(figures, snapshot, read, os.fstat(self._file).st_size)

    def _draw(self, snapshot: Callable[[], Snapshot]) -> None:
        from flowtools.pool.progress_display import Display

        with suppress(OSError), Display(self._stream) as display:
            while True:
                figures, now = self._tally.figures(), snapshot()
                display.draw(figures, now, self._share(figures, now))
                if self._ending.wait(REFRESH):
                    return


def _is_file(fd: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode)
    except OSError:
        return False  # Standard input is closed; reading it reports that.
