"""stdout for event lines alone, while code of others runs that may write there, too.

`guarded_stdout` keeps the descriptor that the pipe is on for the lines: whatever else
writes to stdout (print in a Worker or a Source, a child process) lands on stderr.
"""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flowtools.core.lines import LineWriter
from flowtools.process.console import one_line, say


class LabelledStderr(io.TextIOBase):
    """sys.stdout while such code runs: each line goes to stderr with the event it belongs to."""

    def __init__(self, label: Callable[[], str]) -> None:
        self._label = label
        self._local = threading.local()

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of stdout, which leads to stderr meanwhile."""
        return 1

    def write(self, text: str) -> int:
        """Write the whole lines of `text`; keep an unfinished one for this thread's next call."""
        *whole, rest = (getattr(self._local, "rest", "") + text).split("\n")
        for line in whole:
            say(f"{one_line(self._label())}: {line}", printed=True)
        self._local.rest = rest
        return len(text)


@contextmanager
def guarded_stdout(label: Callable[[], str]) -> Iterator[LineWriter]:
    """Yield a writer for the real stdout; everything else written there goes to stderr.

    `label` says, in any thread, which event is running there.
    """
    own = os.dup(1)
    os.set_inheritable(own, False)
    os.dup2(2, 1)
    printed, sys.stdout = sys.stdout, LabelledStderr(label)
    try:
        yield LineWriter(own)
    finally:
        # Descriptor 1 still leads to stderr: what code of others prints at the very end (atexit,
        # __del__) must not come among the lines.
        sys.stdout = printed
        os.close(own)
