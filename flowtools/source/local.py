"""Standard input as events: STDIN."""

from typing import Literal

from flowtools.core.described import Described
from flowtools.core.errors import EventsFailed, FlowError, ReaderGone, ReaderStalled
from flowtools.core.event import Event, EventError, NotAnEvent, digest, parse
from flowtools.core.lines import LineReader
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.seen import Occurrences, Wrapper
from flowtools.core.text import counted
from flowtools.core.toolong import TooLong, exceeds
from flowtools.core.wait import Stop, wait
from flowtools.source.input import blocks, goodbye
from flowtools.source.settings import Standard

Form = Literal["lines", "null", "json", "document"]

_log = get_log("flowtools.source.local")


class STDIN(Described):
    """A source of standard input: an event for each line, or one for all of it.

    It holds one block and one unfinished line in memory, or the whole document. The same input
    gives the same ids.

    Attributes:
        is_whole: Whether all of the input is one event.
        count: Number of events after which it ends; None: at the end of the input.
    """

    FACTS = ("_form", "count")

    def __init__(
        self,
        form: Form = "lines",
        *,
        count: int | None = None,
        max_line: int = Standard.max_line,
        max_size: int = Standard.max_size,
        size_option: str = "--max-size",
        is_for_a_pipe: bool = True,
        fd: int = 0,
    ) -> None:
        """Read `fd` in one of four forms.

        Args:
            form: "lines": text without its newline and one carriage return before that;
                "null": pieces that end with a NUL byte; "json": a JSON value a line;
                "document": everything.
            count: Number of events after which it ends. Up to a block of input that was read
                beyond them is lost.
            max_line: Maximum size of a line or piece in bytes; longer ones are refused. The line
                of its event may have as many bytes, or 16 MiB if that is more.
            max_size: Maximum size of a document in bytes; a larger one is refused.
            size_option: The command's name for `max_size`.
            is_for_a_pipe: Whether the next command must be able to read a document's event line.
            fd: The file descriptor.
        """
        self.is_whole = form == "document"
        self.count = count
        self._form = form
        self._max_line = max_line
        # What the next command accepts: probably it has the same --max-line, at least the default.
        self._longest = max(max_line, Standard.max_line)
        self._max_size = max_size
        self._size_option = size_option
        self._is_for_a_pipe = is_for_a_pipe
        self._fd = fd
        self._occurrences = Occurrences()
        self._wrapper = Wrapper("flow-stdin")

    def run(self, outlet: Outlet, stop: Stop) -> None:
        """Write an event for each line, or one for the document.

        It ends at the end of the input, at `stop`, or once `count` is reached.

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
        # While the input pauses, only this descriptor tells that the reader of stdout has gone.
        with goodbye(outlet) as gone:
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
                    # The input may pause here: write what has been read before waiting.
                    outlet.flush()
                    if block:
                        _log.debug("lines up to %d of the input are written", number)
                except ReaderStalled as error:
                    lost = end - number + error.lines
                    left = counted(lost, "line")
                    raise FlowError(
                        f"{error}: {left}, from line {end - lost + 1} of the input on"
                    ) from None
        _log.debug("wrote %s of %s", counted(written, "event"), counted(number, "line"))
        if stop.is_set() and number and written != self.count:
            _log.warning("stopped after line %d of the input, which has been written", number)
        if refused:
            raise EventsFailed(f"{refused} of {counted(number, 'line', 'was', 'were')} refused")

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
        event = _event("flow.stdin.line", line, self._occurrences.name(line, number))
        if complaint := self._complaint(event, len(line)):
            raise EventError(complaint)
        outlet.emit(event)
        return True

    def _complaint(self, event: Event, size: int) -> str | None:
        """Return why `event`, of `size` bytes of input, cannot be read by the next command."""
        # JSON turns a byte into six at most, so short input needs no second encoding.
        is_short = 6 * size + 4096 <= self._longest
        return None if is_short else exceeds(event.encode(), self._longest)

    def _document(self, outlet: Outlet, stop: Stop) -> None:
        taken = []
        size = 0
        for block in blocks(self._fd, outlet, stop):
            taken.append(block)
            size += len(block)
            if size > self._max_size:
                raise FlowError(
                    f"cannot take the document: longer than {self._max_size} bytes;"
                    f" {self._size_option} allows more"
                )
        if stop.is_set():
            if size:
                _log.warning(
                    "stopped before the end of the document: %s dropped",
                    counted(size, "byte", "is", "are"),
                )
        else:
            event = _event("flow.stdin.document", b"".join(taken), "1")
            complaint = self._complaint(event, size) if self._is_for_a_pipe else None
            if complaint:
                raise FlowError(f"cannot take the document: {complaint}")
            outlet.emit(event)
            outlet.flush()


def _event(kind: str, raw: bytes, name: str) -> Event:
    data: str | bytes
    try:
        data = raw.decode()
    except UnicodeDecodeError:
        data = raw
    return Event(kind, data, source="flow-stdin", id=f"{digest(raw)}-{name}")
