"""Reads lines from a file descriptor and writes lines to one.

`LineReader` reads blocks and splits them into lines; it holds at most one block and one incomplete
line, whose size is bounded. `LineWriter` collects lines and writes complete lines of at most
PIPE_BUF bytes at a time, so that several writers to one pipe do not interleave within a line. Both
wait with poll(2), together with the request to stop, so that neither a silent input nor a slow
reader can hold up the end of a command. They have no threads of their own.
"""

import errno
import os
import select
from collections.abc import Callable, Iterator
from io import BytesIO
from operator import itemgetter
from threading import Lock
from time import monotonic

from flowtools.core.errors import FlowError, ReaderGone, ReaderStalled
from flowtools.core.event import Event
from flowtools.core.pipe import unread
from flowtools.core.settings import Reading
from flowtools.core.toolong import ROOM, LongLine, Spill, TooLong, bounded
from flowtools.core.unfinished import marked
from flowtools.core.wait import Stop, poll_time, wait

BLOCK = 32768
"""Bytes read at a time. With twice as many, which is what a Linux pipe holds, the C library keeps
half a megabyte more for each thread that has ever read (measured)."""

MAX_LINE = Reading.max_line
"""Default maximum length of a line, in bytes."""

PIPE_BUF = 4096
"""Maximum size of a write to a pipe that other writers cannot interleave (POSIX, Linux)."""

_NEWLINE = ord("\n")
_WITHOUT_END = itemgetter(slice(-1))


def without_end(line: bytes) -> bytes:
    """Return `line` without the newline that it may end with."""
    return line[:-1] if line.endswith(b"\n") else line


class LineReader:
    """Reads blocks of lines from a file descriptor as they arrive.

    Holds at most one block and one incomplete line. Only one thread at a time may read.

    Attributes:
        block: The raw bytes of the last read. The first line may have begun in an earlier block.
        read_at: When that was (`time.monotonic`); None before the first read. Any thread may look.
    """

    def __init__(
        self,
        fd: int,
        stop: Stop,
        *,
        wake: int | None = None,
        max_line: int = MAX_LINE,
        separator: bytes = b"\n",
        tee: Callable[[bytes], None] | None = None,
        spill: Spill | None = None,
        keep_ends: bool = False,
    ) -> None:
        """Read lines of at most `max_line` bytes from `fd` until end of file or `stop`.

        `wake` is a file descriptor that ends a wait when it becomes readable. `tee` is called with
        each raw block before it is split. `spill` keeps the text of longer lines. `keep_ends`
        allows lines to keep their newline, which without_end() removes.
        """
        self._fd = fd
        self._stop = stop
        self._max_line = max_line
        self._separator = separator
        self._tee = tee
        self._spill = spill
        # With such a limit only a line that arrived in several blocks can be too long, and `_keep`
        # measures those without their newline.
        self._keeps_ends = keep_ends and max_line >= BLOCK
        self._partial: list[bytes] = []
        self._partial_size = 0
        self._long: LongLine | None = None
        self._ended = False  # `read` returns None from now on, at the end of input or after a stop.
        self._has_all = False  # The end of the input was read; `rest` has nothing left to read.
        self.block = b""
        self.read_at: float | None = None
        # Registered once instead of with wait(): it is polled for every block.
        self._poller = select.poll()
        for each in (fd, stop.fileno(), wake):
            if each is not None:
                self._poller.register(each, select.POLLIN)

    def read(self, seconds: float | None = None) -> list[bytes] | None:
        """Wait for input; return its lines, or None at the end.

        A last line without a separator counts as a line, and is an Unfinished if it is the
        beginning of an event. The list is empty if only a part of a line has arrived, if `seconds`
        have passed, or if `wake` has ended the wait. After a stop the part of an incomplete line is
        dropped: it was never delivered.

        Raises:
            FlowError: The input cannot be read.
        """
        if self._ended:
            return None
        ready = dict(self._poller.poll(poll_time(seconds)))
        if self._stop.fileno() in ready:
            self._ended = True
            return None
        block = self._read_block() if self._fd in ready else None
        if block is None:
            return []
        if not block:
            self._ended = True
            return [self._take_last()] if self._partial_size else None
        if self._tee is not None:
            self._tee(block)
        return self._split(block)

    def rest(self, seconds: float) -> Iterator[list[bytes]]:
        """Yield the remaining lines up to the end of the input, even after a stop.

        Ends after `seconds` in any case; the part of an incomplete line is then dropped.

        Raises:
            FlowError: The input cannot be read.
        """
        if self._has_all:
            return
        deadline = monotonic() + seconds
        while wait(self._fd, seconds=deadline - monotonic()):
            block = self._read_block()
            if block is None:
                return
            if not block:
                if self._partial_size:
                    yield [self._take_last()]
                return
            yield self._split(block)

    def close(self) -> None:
        """Drop the part of an incomplete line."""
        if self._long is not None:
            self._long.drop()
            self._long = None
        self._partial.clear()
        self._partial_size = 0

    def _read_block(self) -> bytes | None:
        """Return what can be read, b"" at the end; None if another process read it first."""
        # Other processes may read the same pipe, and one of them may have made it non-blocking.
        try:
            block = self.block = os.read(self._fd, BLOCK)
        except BlockingIOError:
            return None
        except OSError as error:
            raise FlowError(f"cannot read standard input: {error.strerror}") from None
        self._has_all = not block
        return block

    def _split(self, block: bytes) -> list[bytes]:
        self.read_at = monotonic()
        if self._separator == b"\n":
            # Takes half the time of `split`, which compares byte by byte; this uses memchr(3).
            lines = BytesIO(block).readlines()
            if not self._keeps_ends:
                lines = list(map(_WITHOUT_END, lines))
            rest = b""
            if not block.endswith(b"\n"):
                lines.pop()
                rest = block[block.rfind(b"\n") + 1 :]
        else:
            lines = block.split(self._separator)
            rest = lines.pop()
        if lines and self._partial_size:
            self._keep(without_end(lines[0]))
            lines[0] = self._take_partial()
        if rest:
            self._keep(rest)
        if self._max_line < BLOCK:  # Otherwise `_keep` has caught every line that is too long.
            most, spill = self._max_line, self._spill
            lines = [x if isinstance(x, TooLong) else bounded(x, most, spill) for x in lines]
        return lines

    def _keep(self, piece: bytes) -> None:
        self._partial_size += len(piece)
        if self._long is None and self._partial_size <= self._max_line + ROOM:
            self._partial.append(piece)
        elif self._long is None:
            self._long = LongLine([*self._partial, piece], self._spill)
            self._partial.clear()
        else:
            self._long.add(piece)

    def _take_last(self) -> bytes:
        """Take the line that the end of the input has ended."""
        line = self._take_partial()
        if isinstance(line, TooLong):
            line.ackto = None  # As in unfinished.py. The source still has the event.
            return line
        return marked(line)

    def _take_partial(self) -> bytes:
        if self._long is not None:
            line: bytes = self._long.end()
            self._long = None
        else:
            line = bounded(b"".join(self._partial), self._max_line, self._spill)
        self._partial.clear()
        self._partial_size = 0
        return line


class LineWriter:
    """Writes complete lines to a file descriptor, from any thread.

    `emit` collects lines and writes them together, at most PIPE_BUF bytes at a time unless one
    line is longer, so that commands that share a pipe do not tear each other's lines. Call `flush`
    before waiting for input. `write` writes one line at once. Code that must not wait for a slow
    reader calls `hold` and `try_flush` instead.

    Attributes:
        emitted: Number of lines given to it.
        written_at: When the kernel last took something (`time.monotonic`); None before that.
        is_cut: Whether the last write has ended within a line.
    """

    def __init__(self, fd: int) -> None:
        """Write to `fd`, which the caller closes."""
        self._fd = fd
        self._lock = Lock()
        self._pending: list[bytes] = []
        self._size = 0
        self.emitted = 0
        self.written_at: float | None = None
        self.is_cut = False
        # The part of a block that `try_flush` could not write. Nothing else may be written before
        # it: it may begin within a line.
        self._rest = memoryview(b"")
        self._given_up: tuple[Stop, float] | None = None
        # Registered once instead of with wait(): it is polled before every write.
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)

    def give_up(self, stop: Stop, seconds: float) -> None:
        """From now on, wait at most `seconds` after `stop` for a reader that accepts nothing.

        After that time every method that writes raises ReaderStalled.
        """
        self._given_up = (stop, seconds)

    def fileno(self) -> int:
        """Return the file descriptor; poll it for POLLERR to learn that the reader has gone."""
        return self._fd

    def emit(self, event: Event) -> None:
        """Add `event` to the buffer as one line; write the buffer first if it is full.

        Raises:
            EventError: The event has no JSON form.
            ReaderGone: The reader has closed the pipe.
        """
        self.emit_line(event.encode())

    def emit_line(self, line: bytes) -> None:
        """Add `line`, which ends with a newline, to the buffer, as `emit` does."""
        with self._lock:
            if self._size + len(line) > PIPE_BUF:
                try:
                    self._write_pending()
                except ReaderStalled as error:
                    error.lines += 1  # This line was not written either.
                    raise
            self._pending.append(line)
            self._size += len(line)
            self.emitted += 1

    def hold(self, line: bytes) -> int:
        """Add `line` to the buffer, whatever its size; return the size of the buffer in bytes.

        Never waits. The caller must make sure that the buffer does not grow without a bound.
        """
        with self._lock:
            self._pending.append(line)
            self._size += len(line)
            self.emitted += 1
            return self._size

    def try_flush(self) -> bool:
        """Write as much of the buffer as the pipe has room for; return whether that was all.

        If it was not, poll `fileno` for POLLOUT.

        Raises:
            ReaderGone: The reader has closed the pipe.
        """
        with self._lock:
            while self._rest or self._pending:
                self._rest = self._rest or memoryview(self._take_block())
                if not self._room.poll(0):
                    return False
                # A pipe that poll(2) calls writable has room for PIPE_BUF bytes (pipe(7)).
                written = self._write_some(self._rest[:PIPE_BUF])
                self._rest = self._rest[written:]
        return True

    def drop(self) -> None:
        """Drop the buffer, except the rest of a line that is partly written."""
        with self._lock:
            self._pending.clear()
            self._size = 0
            end = bytes(self._rest).find(b"\n") + 1 if self.is_cut else 0
            self._rest = self._rest[:end]

    def flush(self) -> None:
        """Write the buffer; return when the kernel has taken it."""
        with self._lock:
            self._write_pending()

    def write(self, line: bytes) -> None:
        """Write the buffer, and then `line` in a write of its own."""
        with self._lock:
            self._write_pending()
            self._write_all(line)
            self.emitted += 1

    def unread(self) -> int:
        """Return the number of bytes that the reader of the pipe has not taken yet (0: no pipe)."""
        return unread(self._fd)

    def _take_block(self) -> bytes:
        """Take as many lines from the buffer as fit into one write."""
        number, size = 0, 0
        for line in self._pending:
            if number and size + len(line) > PIPE_BUF:
                break
            size += len(line)
            number += 1
        block = self._pending[0] if number == 1 else b"".join(self._pending[:number])
        del self._pending[:number]
        self._size -= size
        return block

    def _write_pending(self) -> None:
        rest, self._rest = self._rest, memoryview(b"")
        self._write_all(rest)
        while self._pending:
            self._write_all(self._take_block())

    def _write_all(self, block: bytes | memoryview) -> None:
        view = memoryview(block)
        # With a time limit no write may block. A pipe that poll(2) calls writable has room for
        # PIPE_BUF bytes (pipe(7)); more would wait for the reader inside write(2).
        most = len(view) if self._given_up is None else PIPE_BUF
        while view:
            if self._given_up is not None:
                self._wait_for_room(view, *self._given_up)
            written = self._write_some(view[:most])
            if not written:
                # Another process that shares this descriptor has made it non-blocking.
                wait(writable=self._fd)
            view = view[written:]

    def _wait_for_room(self, view: memoryview, stop: Stop, seconds: float) -> None:
        """Wait until a write of PIPE_BUF bytes of `view` would not block.

        Raises:
            ReaderStalled: There is still no room `seconds` after `stop`.
        """
        # Before a stop a slow reader may take any time. Only the stop starts the limit.
        if self._room.poll(0) or self._fd in wait(stop, writable=self._fd):
            return
        if not wait(writable=self._fd, seconds=seconds):
            lines = bytes(view).count(b"\n") + len(self._pending)
            self._pending.clear()
            self._size = 0
            raise ReaderStalled(lines, is_cut=self.is_cut)

    def _write_some(self, view: memoryview) -> int:
        """Write once; return how many bytes the kernel has taken.

        Raises:
            ReaderGone: The reader has closed the pipe, or the terminal has gone.
            FlowError: Writing fails for another reason.
        """
        try:
            written = os.write(self._fd, view)
        except BlockingIOError:
            return 0
        except OSError as error:
            # Only here does EPIPE mean that the reader has gone; elsewhere it is a broken socket.
            if error.errno in (errno.EPIPE, errno.EIO):
                raise ReaderGone from None
            raise FlowError(f"cannot write standard output: {error.strerror}") from None
        self.written_at = monotonic()
        self.is_cut = view[written - 1] != _NEWLINE
        return written
