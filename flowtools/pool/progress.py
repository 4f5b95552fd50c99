"""--progress: how a pool gets on, for people.

On a terminal a live display, drawn a few times a second by a thread of its own, which
`start` starts and `stop` joins; elsewhere nothing until `stop` writes one summary line.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from flowtools.pool.outcome import Attempt
from flowtools.pool.tally import Snapshot, Tally, summary

REFRESH = 0.25
"""Seconds between two drawings."""


class Progress:
    """Shows how the pool gets on, on `stream`.

    Args:
        stream: Where to; a terminal gets the live display.
        say: Writes the summary, when the display has gone.
    """

    def __init__(self, stream: TextIO, say: Callable[[str], None]) -> None:
        self._tally = Tally()
        self._stream = stream
        self._say = say
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def record(self, attempt: Attempt) -> None:
        """Take note of an attempt."""
        self._tally.record(attempt)

    def start(self, snapshot: Callable[[], Snapshot]) -> None:
        """Begin to draw what `snapshot` says, if there is a terminal.

        `snapshot` is called from the display's thread.
        """
        if self._stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
            self._thread = threading.Thread(
                target=self._draw, args=(snapshot,), name="progress", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Take the display away and write the summary line."""
        self._ending.set()
        if self._thread is not None:
            # Not for ever: somebody may have stopped the terminal with Control-S.
            self._thread.join(2.0)
        with suppress(OSError):  # The terminal has gone.
            self._say(summary(self._tally.figures()))

    def _draw(self, snapshot: Callable[[], Snapshot]) -> None:
        from flowtools.pool.progress_display import Display

        with suppress(OSError), Display(self._stream) as display:
            while True:
                display.draw(self._tally.figures(), snapshot())
                if self._ending.wait(REFRESH):
                    return
