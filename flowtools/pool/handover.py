"""Hands several short events to a process at once: the part of a series that talks to the process.

Handing over one event costs two changes of process, which take longer than a short event. So the
packets of a whole series of events are put into the socket, one for each event. The process reads
one, runs its event, answers it and reads the next. So it has begun one event of a series at most.

The socket's other end is open here, too. Each packet is read by the process or here, never by both.
So an event that was taken back here was not begun, and an event that the process has read is not
taken back. That also holds after the process has died.

The process halts by itself after a failure, or if its output has not been read: it then returns the
packets that it reads, without running their events, until it gets a packet that says GO.
"""

import pickle
import socket
from time import monotonic
from typing import Any

from flowtools.core.event import Event
from flowtools.core.wait import wait
from flowtools.pool import packets
from flowtools.pool.isolation import ProcessRunner
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.runner import Answered
from flowtools.process.kin import how_it_ended

MOST = 50
"""Maximum number of events in a series."""

SHORT = 0.001
"""Seconds that recent events took on average, above which there is no series."""

BUDGET = 0.003
"""Seconds that a series may be expected to take: its last event waits so long for the others."""

LITTLE = 0.0005
"""Seconds that one thread may be expected to keep events while another may have none."""

PATIENCE = 0.005
"""Seconds to wait for one answer before the events that have not begun are taken back."""

_LONG = 10 * SHORT
_SHARE, _SHARE_OF_SERIES = 1 / 8, 1 / 2  # Of the newest duration in the average.
_OVERHEAD = 0.00003  # Seconds that an event takes beside the Worker.
_NUMBERS = [packets.AHEAD + bytes([number]) for number in range(MOST)]


class SeriesRunner(ProcessRunner):
    """A ProcessRunner that also runs several events in a row; see Series in runner.py."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.series = self
        self._usual = _LONG  # Some short events have to come first.
        self._parts: list[bytes] = []  # What has come of an answer.

    def start(self, event: Event) -> list[bytes] | None:
        """Run the Worker; see ProcessRunner.

        Raises:
            Failed: The Worker raised, or the process has died.
        """
        began = monotonic()
        try:
            return super().start(event)
        finally:
            self._note(monotonic() - began)

    def _note(self, seconds: float, share: float = _SHARE) -> None:
        # Bounded, so that one event of minutes does not count more than a few of a second.
        self._usual += (min(seconds, _LONG) - self._usual) * share

    def size(self, waiting: int, threads: int) -> int:
        """Return how many of `waiting` events to hand over at once; below 2: none.

        Each of the pool's `threads` gets its share, unless the events take next to no time.
        """
        if waiting < 2 or self._usual > SHORT:
            return 0
        each = self._usual + _OVERHEAD
        share = max(waiting // threads, min(waiting, int(LITTLE / each)))
        most = min(share, MOST, int(BUDGET / each))
        left = self._age.left()
        return most if left is None else min(most, left)

    def hand_over(self, contents: list[bytes]) -> int:
        """Begin a series of encoded events; return how many of them the process was given."""
        # Only this thread knows which event the output belongs to, from here to `end` or `alone`.
        self._template.ear.hold(self._output)
        self._spent, self._answered = 0.0, 0
        self._parts.clear()
        number = 0
        try:
            for number, content in enumerate(contents):
                # Never waits: a process that hangs would not make room in the socket.
                self._events.send(_NUMBERS[number] + content, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return number
        return len(contents)

    def answer(self, seconds: float | None) -> Answered | None:
        """Wait for an answer, up to `seconds` (None: for ever); None: there was none.

        Raises:
            OSError, EOFError: The process has died.
        """
        if seconds is None:
            self._template.ear.resume(self._output)  # It may write more than a pipe holds.
        flags = 0 if seconds is None else socket.MSG_DONTWAIT
        while True:
            try:
                # A process may stop within a long answer; only `seconds` of None have a deadline.
                kind, content = packets.receive(self._answers, flags, self._parts)
                break
            except BlockingIOError:
                if not wait(self._answers, seconds=seconds):
                    return None
        number, has_halted, spent, body = packets.opened(content)
        if kind == packets.RETURNED:
            return Answered(number, [], None, is_returned=True, has_halted=True)
        self._age.served += 1
        # What the process has measured: here it would include waiting for a busy machine.
        self._spent += min(spent, _LONG)
        self._answered += 1
        failure = None
        if kind == packets.ERROR:
            failure = pickle.loads(body)  # noqa: S301  from a process of our own
        lines = body.splitlines(keepends=True) if kind == packets.LINES else []
        return Answered(number, lines, failure, is_returned=False, has_halted=has_halted)

    def take_back(self) -> list[int]:
        """Take back the events that the process has not read; return their numbers."""
        numbers: list[int] = []
        has_go = False
        try:
            while found := self._unread.recv(2, socket.MSG_DONTWAIT):
                if found[:1] == packets.AHEAD:
                    numbers.append(found[1])
                else:
                    has_go = True
        except OSError:
            pass  # There are no more, or the process has been given up.
        if has_go:
            self.go_on()  # It was for the process, which would stay halted without it.
        return numbers

    def hear(self) -> None:
        """Read the output of the process, which belongs to the event that it has answered."""
        self._template.ear.hear_out(self._output)

    def go_on(self) -> None:
        """Let a process run events again that has halted."""
        self._events.send(packets.GO)

    def end(self) -> None:
        """End a series, and note how long its events have taken."""
        # Without an answer, the process may hang: the next event runs alone, with a deadline.
        usual = self._spent / self._answered if self._answered else _LONG
        self._note(usual, _SHARE_OF_SERIES)
        if self._is_up:
            self._template.ear.resume(self._output)

    def give_up(self) -> Failure:
        """Kill the process, if it has not died; return the Failure of the event that it had."""
        self._spent += _LONG
        self._answered += 1
        return Failure(Outcome.FAILED, how_it_ended(self._discard()))
