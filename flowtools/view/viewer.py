"""The loop of flow-view: reads lines, gives rows to a display, and with --tee forwards the bytes.

One thread waits for everything at once: input, output, keys, signals and the clock. With --tee the
next block is read only after the previous one has been forwarded completely, so that memory stays
bounded. A block is written in pieces, as the pipe takes them, so that a slow reader never freezes
the display. Everything that has been read is forwarded, even if the display fails.
"""

import errno
import os
import time
from contextlib import ExitStack
from typing import TextIO

from flowtools.core.errors import EventsFailed, FlowError, ReaderGone, ReaderStalled
from flowtools.core.lines import PIPE_BUF, LineReader
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.wait import HasFileno, Stop, wait
from flowtools.view.columns import NO_EVENT, Columns
from flowtools.view.live import Live
from flowtools.view.printer import Printer

log = get_log("flowtools.view")

UNACKNOWLEDGED = (
    "the source waits for acknowledgements, which flow-view does not send;"
    " write flow-view --tee | flow-ack, or leave out --ack worker"
)


class Viewer:
    """Shows the lines of a file descriptor until its end.

    Args:
        columns: The columns to show.
        display: The printer or the live table.
        passes_to: File descriptor to which all input is forwarded unchanged; None: do not forward.
        holds: Whether the table stays after the end of the input, until a key ends it.
        max_line: Maximum length of a line, in bytes; a longer one is shown as an error.

    Attributes:
        lines: Number of lines that have been read. Any thread may look, also at `read_at`.
        read_at: When something was last read (`time.monotonic`); None before that.
    """

    def __init__(
        self,
        columns: Columns,
        display: Live | Printer,
        *,
        passes_to: int | None = None,
        holds: bool = False,
        max_line: int,
    ) -> None:
        self._columns = columns
        self._display: Live | Printer | None = display
        self._shown = ExitStack()
        self._out = passes_to
        self._holds = holds
        self._max_line = max_line
        self._pending = memoryview(b"")
        self.lines = self._wrong = 0
        self.read_at: float | None = None
        self._has_warned = False

    def run(self, fd: int, stop: Stop) -> None:
        """Read `fd` until its end, until `stop` is set, or until the user quits.

        Raises:
            EventsFailed: Some lines were not events.
            ReaderGone: The reader of the forwarded lines, or the terminal, has gone.
            FlowError: Input or output fails.
        """
        reader = LineReader(fd, stop, max_line=self._max_line, tee=self._keep)
        if isinstance(self._display, Live):
            self._shown.enter_context(self._display)
        try:
            reading = True
            while not stop.is_set() and (reading or self._is_held()):
                ready = self._wait(fd if reading else None, stop)
                self._serve_display(ready)
                if self._out in ready:
                    self._pass_on()
                if fd in ready and reading:
                    reading = self._take(reader)
                if isinstance(self._display, Live) and self._display.quits:
                    if self._out is None:
                        break
                    # With --tee only the display ends: the pipeline must not stop because somebody
                    # has seen enough.
                    self._drop_display()
        finally:
            self._drop_display()
            self._pass_all_on(stop)
        log.debug("%s shown, of which %d not events", counted(self.lines, "line"), self._wrong)
        if self._wrong:
            lines = counted(self.lines, "line", "was not an event", "were not events")
            raise EventsFailed(f"{self._wrong} of {lines}")

    def _keep(self, block: bytes) -> None:
        self.read_at = time.monotonic()
        if self._out is not None:
            self._pending = memoryview(block)

    def _is_held(self) -> bool:
        return self._holds and isinstance(self._display, Live) and self._display.keys is not None

    def _wait(self, fd: int | None, stop: Stop) -> set[int]:
        readable: list[int | HasFileno] = [stop]
        if fd is not None and not self._pending:
            readable.append(fd)
        seconds = None
        if isinstance(self._display, Live):
            seconds = self._display.wait()
            readable.append(self._display.suspended)
            if self._display.keys is not None:
                readable.append(self._display.keys)
        if self._pending:
            return wait(*readable, writable=self._out, seconds=seconds)
        # With nothing to write, only the end of the reader matters: a pipe is nearly always
        # writable, and the loop would spin.
        return wait(*readable, gone=self._out, seconds=seconds)

    def _serve_display(self, ready: set[int]) -> None:
        display = self._display
        if not isinstance(display, Live):
            return
        try:
            if display.suspended.fileno() in ready:
                display.suspend()
            if display.keys is not None and display.keys.fileno() in ready:
                display.press()
            display.draw(time.time())
        except OSError as error:
            self._lose_display(error)

    def _take(self, reader: LineReader) -> bool:
        """Read a block and show its lines; return whether there may be more."""
        block = reader.read(0)
        if block is None:
            if isinstance(self._display, Live):
                self._display.ended()
            return False
        rows = [self._columns.row(line) for line in block if line.strip()]
        self.lines += len(rows)
        self._wrong += sum(row.type == NO_EVENT for row in rows)
        if self._out is None and not self._has_warned and any(b'"ackto"' in x for x in block):
            self._warn(UNACKNOWLEDGED)
        if self._display is not None:
            try:
                self._display.show(rows, time.time())
            except (OSError, FlowError, ReaderGone) as error:
                self._lose_display(error)
        return True

    def note(self, text: str) -> None:
        """Show `text` at the foot of the table; nothing is shown without one."""
        if isinstance(self._display, Live):
            self._display.note(text)

    def _warn(self, text: str) -> None:
        self._has_warned = True
        if isinstance(self._display, Live):
            self._display.note(text)
        else:
            log.warning("%s", text)

    def _lose_display(self, error: Exception) -> None:
        """Go on without a display if lines are forwarded; otherwise raise an error."""
        if self._display is not None:
            _discard(self._display.stream)
        self._drop_display()
        if self._out is None:
            if isinstance(error, OSError):
                raise ReaderGone from None
            raise error

    def _drop_display(self) -> None:
        self._display = None
        self._shown.close()

    def _pass_on(self) -> None:
        """Write as much as the pipe takes.

        Raises:
            ReaderGone: The reader has gone; or there is nothing to write, which means the same,
                because `_wait` then reports only that.
        """
        if not self._pending:
            raise ReaderGone
        self._write(self._pending[:PIPE_BUF])

    def _pass_all_on(self, stop: Stop) -> None:
        """Write everything that has been read; wait for the reader until `stop` is set.

        Raises:
            ReaderStalled: `stop` was set before the reader had taken everything.
        """
        while self._pending and self._out is not None:
            if self._out not in wait(stop, writable=self._out):
                raise ReaderStalled(bytes(self._pending).count(b"\n"))
            self._write(self._pending[:PIPE_BUF])

    def _write(self, piece: memoryview) -> None:
        assert self._out is not None
        try:
            self._pending = self._pending[os.write(self._out, piece) :]
        except BlockingIOError:
            # Another process that shares the descriptor has made it non-blocking.
            wait(writable=self._out)
        except BrokenPipeError:
            self._pending = memoryview(b"")
            raise ReaderGone from None
        except OSError as error:
            self._pending = memoryview(b"")
            # A terminal that has been closed.
            if error.errno == errno.EIO:
                raise ReaderGone from None
            raise FlowError(f"cannot write standard output: {error.strerror}") from None


def _discard(stream: TextIO) -> None:
    # Python flushes its buffer when the process ends. That would fail again, with exit status 120.
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
