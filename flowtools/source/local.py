"""Standard input as events: STDIN."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from flowtools.core.errors import EventsFailed, FlowError, ReaderGone, ReaderStalled
from flowtools.core.event import Event, EventError, NotAnEvent, digest, parse
from flowtools.core.lines import BLOCK, LineReader, TooLong
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.seen import Occurrences, Wrapper
from flowtools.core.wait import Stop, wait
from flowtools.source.settings import Standard

Form = Literal["lines", "null", "json", "document"]

_log = get_log("flowtools.source.local")


class STDIN:
    """What comes on standard input: its lines, or all of it.

    Holds one block and one unfinished line, or the whole document. The same input gives
    the same ids.

    Attributes:
        is_whole: All of it is one event.
        count: End after so many events; None: at the end of the input.
    """

    def __init__(
        self,
        form: Form = "lines",
        *,
        count: int | None = None,
        max_line: int = Standard.max_line,
        max_size: int = Standard.max_size,
        size_option: str = "--max-size",
        fd: int = 0,
    ) -> None:
        """Read `fd` in one of four forms.

        Args:
            form: "lines": text without its newline and one carriage return before that;
                "null": pieces that end with a NUL byte; "json": a JSON value a line;
                "document": everything.
            count: End after so many events. What was read beyond them, up to a block, is gone.
            max_line: Bytes of a line or piece above which it is refused.
            max_size: Bytes of a document above which it is refused.
            size_option: What the command calls that.
            fd: The file descriptor.
        """
        self.is_whole = form == "document"
        self.count = count
        self._form = form
        self._max_line = max_line
        self._max_size = max_size
        self._size_option = size_option
        self._fd = fd
        self._occurrences = Occurrences()
        self._wrapper = Wrapper("flow-stdin")

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write an event for each line, or one for the document.

        It ends with the input, with `stop`, or once `count` is reached.

        Raises:
            EventsFailed: Lines were refused; each has been reported with its number.
            FlowError: The input cannot be read, or the document is too large.
            ReaderGone: Nobody reads any more; found out while waiting, too.
        """
        if self._form == "document":
            self._document(outlet, stop)
        else:
            self._lines(outlet, stop)

    def _lines(self, outlet: Outlet, stop: Stop) -> None:
        separator = b"\0" if self._form == "null" else b"\n"
        number = refused = written = 0
        with _goodbye(outlet) as gone:
            reader = LineReader(
                self._fd, stop, wake=gone, max_line=self._max_line, separator=separator
            )
            while written != self.count and (block := reader.read()) is not None:
                if not block and gone is not None and wait(gone, seconds=0):
                    raise ReaderGone
                end = number + len(block)
                try:
                    for line in block:
                        number += 1
                        try:
                            written += self._emit(outlet, line, number)
                        except EventError as error:
                            refused += 1
                            _log.error("line %d: %s", number, error)
                        if written == self.count:
                            break
                    # The input may pause here: what has been read is not to wait with it.
                    outlet.flush()
                    if block:
                        _log.debug("lines up to %d of the input are written", number)
                except ReaderStalled as error:
                    lost = end - number + error.lines
                    raise FlowError(
                        f"{error}: {lost} lines, from line {end - lost + 1} of the input on"
                    ) from None
        _log.debug("%d events of %d lines are written", written, number)
        if stop.is_set() and number and written != self.count:
            _log.warning("stopped after line %d of the input, which has been handed over", number)
        if refused:
            raise EventsFailed(f"{refused} of {number} lines were skipped")

    def _emit(self, outlet: Outlet, line: bytes, number: int) -> bool:
        """Write the event of `line`; return whether it is one."""
        if isinstance(line, TooLong):
            raise EventError(f"longer than {self._max_line} bytes; --max-line allows more")
        if self._form == "json":
            if not line.strip():
                return False
            try:
                outlet.emit(parse(line))
            except NotAnEvent as other:
                outlet.emit(self._wrapper.event(other.value, line, number))
            return True
        if self._form == "lines":
            line = line.removesuffix(b"\r")
        outlet.emit(_event("flow.stdin.line", line, self._occurrences.name(line, number)))
        return True

    def _document(self, outlet: Outlet, stop: Stop) -> None:
        blocks = []
        size = 0
        for block in _blocks(self._fd, outlet, stop):
            blocks.append(block)
            size += len(block)
            if size > self._max_size:
                raise FlowError(
                    f"cannot take the document: longer than {self._max_size} bytes;"
                    f" {self._size_option} allows more"
                )
        if stop.is_set():
            if size:
                _log.warning("stopped before the end of the document: %d bytes are dropped", size)
        else:
            outlet.emit(_event("flow.stdin.document", b"".join(blocks), "1"))
            outlet.flush()


def _event(kind: str, raw: bytes, name: str) -> Event:
    data: str | bytes
    try:
        data = raw.decode()
    except UnicodeDecodeError:
        data = raw
    return Event(kind, data, source="flow-stdin", id=f"{digest(raw)}-{name}")


def _blocks(fd: int, outlet: Outlet, stop: Stop) -> Iterator[bytes]:
    """Yield what comes on `fd` until its end or `stop`."""
    while True:
        ready = wait(fd, stop, gone=outlet)
        if outlet.fileno() in ready:
            raise ReaderGone
        if stop.fileno() in ready:
            return
        try:
            block = os.read(fd, BLOCK)
        except BlockingIOError:
            continue
        except OSError as error:
            raise FlowError(f"cannot read standard input: {error.strerror}") from None
        if not block:
            return
        yield block


@contextmanager
def _goodbye(outlet: Outlet) -> Iterator[int | None]:
    """Yield a file descriptor that becomes readable once the reader of `outlet` has gone.

    None where that cannot be seen: a regular file has no reader. An epoll, because the
    descriptor itself would also be readable where input waits on it, as on a terminal.
    """
    with select.epoll() as watch:
        try:
            watch.register(outlet.fileno(), select.EPOLLERR)
        except PermissionError:
            yield None
        else:
            yield watch.fileno()
