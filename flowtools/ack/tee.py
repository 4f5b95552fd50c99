"""The work of flow-tee: copy lines to several branches; an event is done once all copies are.

The main thread reads and writes. Each copy that goes to a pipe carries an `ackto` of the relay
(relay.py), which tells the source once every copy is settled. A copy that goes to a file is done
once it is written. If all branches are files, the event is acknowledged after the write.

When a reader goes, its copies can never be settled. Then flow-tee ends without `bye`, and the
sources deliver again. With --tolerate it goes on without that reader, and the relay makes the
sources deliver again, to the other branches.
"""

from contextlib import suppress

from flowtools.ack.branches import Branch, Branches
from flowtools.ack.records import AckError, Reason, parse_ackto, take_ackto, with_ackto
from flowtools.ack.relay import Relay
from flowtools.core.errors import EventsFailed, ReaderGone
from flowtools.core.lines import LineReader
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.toolong import TooLong
from flowtools.core.unfinished import Unfinished
from flowtools.core.wait import Stop
from flowtools.process.vitals import vitals

_log = get_log("flowtools.tee")


class Tee:
    """Copies lines. Copies to a pipe carry the duty to acknowledge, copies to a file do not."""

    def __init__(self, relay: Relay, branches: Branches, *, tolerate: bool) -> None:
        """Copy to `branches`; with `tolerate`, go on without one whose reader has gone."""
        self._relay = relay
        self._branches = branches
        self._tolerate = tolerate
        self._number = self._failed = 0

    def run(self, reader: LineReader, stop: Stop) -> None:
        """Copy until the input ends or `stop`; then wait until every copy is settled.

        Raises:
            EventsFailed: Lines were too long, or a branch's reader has gone.
            FlowError: A reader has not taken all lines within the time after `stop`.
            ReaderGone: No reader is left.
        """
        at_end = False
        vitals.provide("events_in", lambda: self._number)
        vitals.provide_moment(lambda: reader.read_at)
        vitals.provide("failed", lambda: self._failed)
        is_copied = False
        try:
            self._copy_all(reader, stop)
            is_copied = True
            self._wait(stop)
            at_end = not stop.is_set()
        except (ReaderGone, EventsFailed):
            # The other readers have to see the end of their input: they end after their last line.
            self._branches.end()
            is_settled = self._relay.settle_last(self._branches.left)
            if not (is_copied and is_settled):
                raise
            at_end = not stop.is_set()
        finally:
            self._relay.close(bye=at_end)
        if self._failed:
            raise EventsFailed(
                f"{self._failed} of {counted(self._number, 'line', 'was', 'were')} not copied"
            )

    def _copy_all(self, reader: LineReader, stop: Stop) -> None:
        while (block := reader.read()) is not None:
            self._look()  # Before copying, or a copy would wait for a reader that has gone.
            done = [ackto for line in block if (ackto := self._copy(line)) is not None]
            if not self._branches.flush():
                self._look()
                if stop.is_set():
                    self._branches.check_written(self._number - len(block) + 1)
                    return
            for ackto in done:  # After the flush: the files are the only copies.
                self._relay.carry(ackto, 0)

    def _wait(self, stop: Stop) -> None:
        while True:
            try:
                left = self._branches.left
                self._relay.wait_until_settled(stop, left, news=self._branches)
            except ReaderGone:
                self._look()
            else:
                return

    def _look(self) -> None:
        """Remove the branches whose readers have gone.

        Raises:
            EventsFailed: A reader has gone, without --tolerate.
            ReaderGone: The reader of standard output has gone without --tolerate, or no reader
                that acknowledges is left.
        """
        gone = self._branches.take_gone()
        for each in gone:
            if not self._tolerate:
                if each.name == STDOUT:
                    raise ReaderGone
                raise EventsFailed(
                    f"the reader of '{each.name}' has gone; events that it has not settled count"
                    " as not done; --tolerate continues without it"
                )
            _log.warning("the reader of '%s' has gone; continuing without it", each.name)
            # It may never have connected to the relay, which then cannot notice this by itself.
            self._relay.miss(f"the reader of '{each.name}' has gone")
        if gone and not any(each.has_duty for each in self._branches.open):
            raise ReaderGone

    def _copy(self, line: bytes) -> str | None:
        """Give a line to all branches; return its `ackto` if the event is done once written."""
        self._number += 1
        if isinstance(line, TooLong):
            self._refuse(line)
            return None
        if isinstance(line, Unfinished):
            _log.warning("line %d: the input ends within it, so it is not an event", self._number)
        bare, ackto = take_ackto(line)
        # Decided for each line: with --tolerate a branch may have gone since the last one.
        carriers = [each for each in self._branches.open if each.has_duty]
        acktos: list[str] = []
        if ackto is not None:
            try:
                parse_ackto(ackto)
                acktos = self._relay.carry(ackto, len(carriers)) if carriers else []
            except AckError as error:
                _log.error("line %d: %s", self._number, error)
                ackto = None
        _log.debug(
            "line %d: copies: %d, to be acknowledged: %d",
            *(self._number, len(self._branches.open), len(acktos)),
        )
        # Without a newline the next command, too, sees that the line is not whole.
        plain = line if isinstance(line, Unfinished) else bare + b"\n"
        duties = dict(zip(map(id, carriers), acktos, strict=False))
        for branch in self._branches.open:
            own = duties.get(id(branch))
            branch.writer.hold(plain if own is None else with_ackto(bare, own))
        return ackto if ackto is not None and not carriers else None

    def _refuse(self, line: TooLong) -> None:
        self._failed += 1
        error = line.reason
        _log.error("line %d: %s", self._number, error)
        if line.ackto is not None:
            # A malformed `ackto` names no source to tell. The line itself has been reported.
            with suppress(AckError):
                self._relay.reject(line.ackto, Reason.here(error, 0, "flow-tee"))


STDOUT = "standard output"


def stdout_branch(fd: int) -> Branch:
    """Return the branch for standard output."""
    return Branch(fd, STDOUT)
