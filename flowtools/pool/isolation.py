"""Runs the Worker of each thread of the pool in a process of its own.

Each thread of the pool owns one process (child.py), which the template process makes (template.py).
A time-out kills that process and everything that it has started, as one process group. A process
that dies (segmentation fault, os._exit, out of memory) fails the event that it had and no other. No
library's process pool is used: those hand events from one thread to another and poll, whereas here
the pool's own thread waits on the socket of its process.
"""

import os
import pickle
import socket
from collections.abc import Callable
from random import uniform
from threading import Thread
from time import monotonic, sleep
from typing import Any

from flowtools.core.errors import ConfigurationError, FlowError
from flowtools.core.event import Event, EventError
from flowtools.core.log import get_log
from flowtools.core.wait import Stop, wait
from flowtools.pool import packets
from flowtools.pool.batch import Answer, Batch
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.recycling import Age, Limits
from flowtools.pool.runner import RunnerBroken, Series
from flowtools.pool.settings import Settings
from flowtools.pool.template import Template
from flowtools.process.console import Whose
from flowtools.process.kin import how_it_ended, kill_group
from flowtools.process.programs import end_tree
from flowtools.worker.batch import Events

READY_SECONDS = 120.0
"""Seconds for a process to configure its Worker."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds between attempts to start a process: after the first failure, and after many."""

log = get_log("flowtools.pool")


class Failed(Exception):
    """Raised if the attempt in the process has failed or the process has died, with `failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


def time_to_clean_up(stop: Stop, drain: float) -> float:
    """Return the time that a process now has for `clean_up`, in seconds.

    --drain 0 asks for haste after a signal; at any other end `clean_up` has time as usual.
    """
    return drain if drain or stop.is_set() else Settings.drain


class ProcessRunner:
    """Runs the Worker in a process, which is replaced when it has died or exceeds its limits."""

    series: Series | None = None

    def __init__(
        self, template: Template, patience: Callable[[], float], limits: Limits | None = None
    ) -> None:
        """Start a process of `template` without waiting for it; `prepare` waits until it is ready.

        So all processes of a pool start at the same time. `patience` returns the time that the
        Worker now has to clean up, in seconds; `limits` says when the process is replaced.
        """
        self._age = Age(limits or Limits())
        self._template = template
        self._patience = patience
        self._to_clean_up = 0.0
        self._failures = 0
        self._next_try = 0.0
        self._is_ready = self._is_up = self._is_killed = False
        self._whose: Whose = lambda: None
        self._spawn()

    def attribute_to(self, whose: Whose) -> None:
        """Use `whose` to find the attempt to which the output of the process belongs."""
        self._whose = whose

    def prepare(self, stop: Stop) -> float:
        """Make sure that there is a process with a Worker, outside the time of any event.

        Returns 0 if there is one or `stop` is set. Otherwise returns the seconds after which to
        call again: a process that cannot be started now is tried again later.

        Raises:
            RunnerBroken: No process of this pool has ever been able to make its Worker.
        """
        if self._is_ready and not self._is_killed and not self._retire():
            return 0.0
        try:
            if self._is_killed:
                self._discard()
            if not self._is_up:
                seconds = self._next_try - monotonic()
                if seconds > 0:
                    return seconds
                self._spawn()
            self._expect_ready(stop)
        except FlowError as error:
            self._discard()
            if not self._template.has_served:
                raise RunnerBroken(error) from None
            return self._pause(error)
        if self._failures and self._is_ready:
            log.warning("a process for the Worker has started again")
            self._failures = 0
        return 0.0

    def _retire(self) -> bool:
        """End a process that has exceeded its limits; return whether it was ended."""
        reason = self._age.end(self._pid)
        if reason is None:
            return False
        log.info("process %d is replaced after %s", self._pid, reason)
        self.release()
        try:
            self.close()
        except FlowError as error:
            log.error("%s", error)
        return True

    def start(self, event: Event) -> list[bytes] | None:
        """Run the Worker; see flowtools.pool.runner.Runner.

        Raises:
            Failed: The Worker raised, or the process has died.
        """
        self._age.served += 1
        kind, content = self._ask(packets.EVENT, event.encode(), event)
        return content.splitlines(keepends=True) if kind == packets.LINES else None

    def start_many(self, batch: Batch[Any]) -> list[Answer]:
        """Run the Worker on a batch; see flowtools.pool.runner.Runner.

        Raises:
            Failed: The Worker raised, or the process has died.
        """
        self._age.served += len(batch.events)
        found: dict[int, Answer] = {}
        lines: dict[int, bytes] = {}
        for place, event in enumerate(batch.events):
            try:
                lines[place] = event.encode()
            except EventError as error:  # It is nested too deeply. Only this event fails.
                found[place] = batch.failures[place] = Failure.of(error)
        if lines:
            places = list(lines)  # The process numbers only the events that it gets.

            def note(place: int, failure: Failure) -> None:
                batch.failures[places[place]] = failure

            content = b"".join(lines.values())
            said = self._ask(packets.BATCH, content, batch.events, note)[1]
            answers: list[Answer] = pickle.loads(said)  # noqa: S301  from a process of our own
            found |= zip(places, answers, strict=True)
        return [found[place] for place in range(len(batch.events))]

    def _ask(
        self,
        kind: bytes,
        content: bytes,
        events: Event | Events,
        note: Callable[[int, Failure], None] | None = None,
    ) -> tuple[bytes, bytes]:
        """Give `events` to the process, and return its answer.

        `note` is called for each event of a batch that it fails meanwhile.

        Raises:
            Failed: The Worker raised, or the process has died.
        """
        while True:
            self._send(kind, content)
            try:
                answer, said = packets.receive(self._answers)
                while answer == packets.FAILED and note is not None:
                    note(*pickle.loads(said))  # noqa: S301  from a process of our own
                    answer, said = packets.receive(self._answers)
                # All output so far belongs to this event, which is about to be settled.
                self._template.ear.hear_out(self._output)
            except (EOFError, OSError):
                is_untouched = self._take_back()
                how = how_it_ended(self._discard())
                if is_untouched and self._replace(events):
                    continue  # The process died before it read this event: it is not the cause.
                raise Failed(Failure(Outcome.FAILED, how)) from None
            if answer == packets.ERROR:
                raise Failed(pickle.loads(said))  # noqa: S301  from a process of our own
            if answer not in (packets.DONE, packets.LINES, packets.ANSWERS):
                # Never taken for an event that is done.
                raise Failed(Failure(Outcome.FAILED, f"its process gave the answer {answer!r}"))
            return answer, said

    def _replace(self, event: Event | Events) -> bool:
        """Wait for another process until `event` times out; return whether there is one."""
        stop = Stop()  # Never set: the watchdog cancels the event.
        try:
            while not event.cancelled():
                if not (seconds := self.prepare(stop)):
                    return True
                sleep(min(seconds, 0.5))
        finally:
            stop.close()
        return False

    def lines(self, event: Event, returned: list[bytes]) -> list[bytes]:
        """Return the lines that the process has made."""
        return returned

    def failure(self, error: BaseException) -> Failure:
        """Return the Failure that the process made of it."""
        return error.failure if isinstance(error, Failed) else Failure.of(error)

    def interrupt(self, thread: Thread, since: float) -> None:
        """Kill the process and all that it has started; `start` then raises in its thread."""
        # The process may have answered in this moment. It must not get the next event, even so.
        self._is_killed = True  # Before the signal, so that `prepare` sees it in any case.
        end_tree(self._pid)  # Programs with a session of their own are not in its group.
        kill_group(self._pid)

    def release(self) -> None:
        """Ask the process to clean up and end; `close` waits for that."""
        if self._is_ready and wait(self._answers, seconds=0):
            self._discard()  # The process has died while it was idle.
        if self._is_up:
            self._events.close()
            self._to_clean_up = self._patience()
            self._until = monotonic() + self._to_clean_up

    def close(self) -> None:
        """Wait until the process has cleaned up and ended, for a limited time.

        Raises:
            FlowError: The process could not clean up, or not in time.
        """
        if not self._is_up:
            return
        if not self._is_ready:
            self._discard()  # It has not made its Worker, so that there is nothing to clean up.
            return
        said, in_time = self._farewell()
        status = self._discard(kill=not in_time)
        if not in_time:
            said = f"cannot clean up after the Worker: not done within {self._to_clean_up:g} s"
        elif said is None and status:
            said = f"cannot clean up after the Worker: {how_it_ended(status)} meanwhile"
        if said is not None:
            raise FlowError(said)

    def _farewell(self) -> tuple[str | None, bool]:
        """Wait for the end of the process; return its error, if any, and whether it ended."""
        said = None
        while wait(self._answers, seconds=max(0.0, self._until - monotonic())):
            try:
                said = packets.receive(self._answers)[1].decode() or None
            except (EOFError, OSError):
                return said, True
        return said, False

    def _send(self, kind: bytes, content: bytes) -> None:
        if len(content) <= packets.LARGEST:
            self._events.send(kind + content)
            return
        # The process begins the event only when it has read the second packet, with the descriptor.
        with os.fdopen(os.memfd_create("event"), "wb") as file:
            file.write(content)
            file.flush()
            self._events.send(packets.FILE + kind)
            socket.send_fds(self._events, [packets.DESCRIPTOR], [file.fileno()])

    def _take_back(self) -> bool:
        """Take back the last event; return True if the process had not read it."""
        try:
            found = packets.GO
            while found == packets.GO:  # The process may not have read this one either.
                found = self._unread.recv(1, socket.MSG_DONTWAIT)
        except OSError:
            return False
        # A descriptor alone: the process knew that something would come, but not what.
        return found in (packets.EVENT, packets.BATCH, packets.FILE, packets.DESCRIPTOR)

    def _spawn(self) -> None:
        self._is_ready = False
        self._age.begin()
        self._events, events = packets.pair()
        self._answers, answers = packets.pair()
        # Kept open here, too, to take back an event that a dying process has not read.
        self._unread = events
        ear = self._template.ear
        self._output, output = ear.listen(lambda: self._whose(), self._template.mark)
        with answers, os.fdopen(output):
            try:
                self._pid = self._template.spawn(events, answers, output)
            except FlowError:
                self._close_sockets()
                raise
        self._is_up = True

    def _close_sockets(self) -> None:
        for each in (self._events, self._unread, self._answers):
            each.close()
        self._template.ear.leave(self._output)

    def _expect_ready(self, stop: Stop) -> None:
        found = wait(self._answers, stop, seconds=READY_SECONDS)
        if not found:
            raise ConfigurationError(
                f"cannot configure the Worker: not done within {READY_SECONDS:g} s"
            )
        if self._answers.fileno() not in found:
            return  # `stop` is set.
        try:
            kind, content = packets.receive(self._answers)
        except (EOFError, OSError):
            how = how_it_ended(self._discard())
            raise ConfigurationError(f"cannot configure the Worker: {how} meanwhile") from None
        if kind != packets.READY:
            packets.raise_broken(content)
        self._is_ready = self._template.has_served = True

    def _pause(self, error: FlowError) -> float:
        """Log that a process could not be started; return the seconds to wait."""
        longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._failures)
        self._failures += 1
        seconds = uniform(longest / 2, longest)  # noqa: S311  so that not all try at once
        self._next_try = monotonic() + seconds
        log.warning("cannot replace a process: %s; trying again in %.1f s", error, seconds)
        return seconds

    def _discard(self, *, kill: bool = True) -> int | None:
        """Give up the process and return how it ended; nothing of its group stays alive."""
        if not self._is_up:
            return None
        self._is_up = self._is_ready = self._is_killed = False
        if kill:
            # The whole group, since its programs must not run beside the next attempt.
            kill_group(self._pid)
        self._close_sockets()
        return self._reap()

    def _reap(self) -> int | None:
        # The process is a child of the template, so that waitpid(2) does not work here.
        try:
            process = os.pidfd_open(self._pid)
        except OSError:
            return None
        if not wait(process, seconds=5.0):
            kill_group(self._pid)
            wait(process, seconds=5.0)
        os.close(process)
        return self._template.reap(self._pid)
