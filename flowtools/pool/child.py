"""A process of `--isolation process`: makes a Worker of its own and runs it on each event it gets.

Usually the process is a fork of the template process (template.py), which has imported the Worker's
module. If that import starts threads, the process is a fresh interpreter instead, because a fork
would not have those threads.

A terminal and systemd send SIGINT and SIGTERM to every process. Only flow-work acts on them. This
process ignores them, and ends when flow-work closes its socket or dies.

The process reads one packet, runs its event and answers, and only then reads the next packet. So a
packet that is still in the socket was not begun, and flow-work can take it back (handover.py).
"""

import atexit
import fcntl
import os
import pickle
import signal
import socket
import sys
import termios
import threading
from configparser import ConfigParser
from dataclasses import dataclass, field
from functools import partial
from secrets import token_hex
from time import monotonic
from typing import Any

import orjson

from flowtools.core.errors import FlowError
from flowtools.core.event import Event, ReadEvent
from flowtools.core.log import About
from flowtools.core.tracing import unprofile, untrace
from flowtools.pool import packets
from flowtools.pool.batch import about_all, failed, run_batch
from flowtools.pool.outcome import Failure
from flowtools.pool.packets import (
    AHEAD,
    ANSWERS,
    BATCH,
    BROKEN,
    CLEAN,
    DONE,
    ERROR,
    FAILED,
    GO,
    LINES,
    READY,
    RETURNED,
)
from flowtools.pool.results import lines_of
from flowtools.process import console
from flowtools.process.console import form, shows_tracebacks
from flowtools.process.ear import Mouth
from flowtools.process.kin import die_with_parent
from flowtools.process.message import Form
from flowtools.process.overheard import Overheard, overhearing
from flowtools.worker.batch import Events
from flowtools.worker.contract import make
from flowtools.worker.loading import clean_up, load_exceptions
from flowtools.worker.needs import Equipment
from flowtools.worker.signature import check

_REHEARSALS = 16
"""Number of runs of `rehearse`: CPython 3.11 specializes code that has run eight times."""


@dataclass(frozen=True)
class Plan:
    """Everything that a process needs to make its Worker. Can be pickled.

    Attributes:
        worker: The Worker, as MODULE:CLASS.
        config: The Worker's settings.
        equipment: The objects that a Worker may ask for; None: made as the environment says.
        pause_on: Exceptions that count as Unavailable, each as MODULE:CLASS.
        form: The form of messages.
        path: The folders in which to look for modules, as `sys.path`.
        mark: The bytes before each message of the process. They tell it from the output of its
            programs, which goes through the same pipe.
    """

    worker: str
    config: ConfigParser
    equipment: Equipment | None = None
    pause_on: tuple[str, ...] = ()
    form: Form = field(default_factory=form)
    path: list[str] = field(default_factory=lambda: list(sys.path))
    mark: bytes = field(default_factory=lambda: b"\x1e" + token_hex(8).encode() + b" ")


def speak(plan: Plan, output: int) -> None:
    """Send all output of this process to the pipe `output`, and its messages with a mark.

    `console.configure` must have been called, in this process or before it was forked.
    """
    for fd in (1, 2):
        os.dup2(output, fd)
    console.relay_to(Mouth(output, plan.mark).say)


def be_child(
    plan: Plan, parent: int, events: socket.socket, answers: socket.socket, output: int
) -> int:
    """Run as the process until flow-work closes `events`; return the exit status.

    Args:
        plan: The Worker and its settings.
        parent: The id of the process with which this one dies.
        events: The socket from which packets with events are read.
        answers: The socket for the answers.
        output: The pipe for all output.
    """
    # A page of memory that is first written to here is no longer shared with the template. That is
    # why `rehearse` runs there, and why this code writes little.
    os.setpgid(0, 0)
    die_with_parent(parent)
    # A process that the Worker forks must not keep the sockets open: flow-work notices the end of
    # this process by their end.
    for each in (events, answers):
        os.register_at_fork(after_in_child=each.close)
    speak(plan, output)
    about: list[About | None] = [None]
    with overhearing(lambda: about[0], follows_threads=False) as streams:
        return _work(plan, events, answers, output, about, streams)


def _work(
    plan: Plan,
    events: socket.socket,
    answers: socket.socket,
    output: int,
    about: list[About | None],
    streams: tuple[Overheard, Overheard],
) -> int:
    out, err = streams
    try:
        pausing = load_exceptions(plan.pause_on)
        worker = make(plan.worker, plan.config, plan.equipment, pausing)
    except FlowError as error:
        packets.send(answers, BROKEN, packets.broken(error))
        return 1
    packets.send(answers, READY)
    is_halted = False
    while packet := events.recv(packets.LARGEST + 2):
        kind, content = _whole(packet, events)
        if kind != AHEAD:  # flow-work knows that this process has halted, as GO and events say.
            is_halted = False
        if kind == GO:
            continue
        if is_halted:
            packets.send(answers, RETURNED, packets.head(content[:1], has_halted=True))
            continue
        if kind == BATCH:
            batch = _Batch(content, answers, pausing)
            about[0] = about_all(batch.events)
            answer = batch.answer(worker)
        else:
            number = content[:1] if kind == AHEAD else b""
            began = monotonic()
            event = ReadEvent.of(orjson.loads(content[len(number) :]))
            about[0] = About(str(event.id), event.subject)
            answer = _answer(worker, event, pausing)
        out.finish()
        err.finish()
        if answers.fileno() < 0:
            return 0  # A copy that the Worker has forked: `be_child` closed its sockets.
        if kind == AHEAD:
            # flow-work attributes output to the event that runs when it reads the output. So the
            # next event must not begin before. After a failure, the pool may have to pause.
            is_halted = answer[0] == ERROR or _is_unread(output)
            seconds = monotonic() - began
            head = packets.head(number, seconds, has_halted=is_halted)
            answer = answer[0], head + answer[1]
        packets.send(answers, *answer)
    about[0] = None
    try:
        clean_up(worker, "Worker")
    except FlowError as error:
        packets.send(answers, CLEAN, str(error).encode("utf-8", "backslashreplace"))
        return 1
    packets.send(answers, CLEAN)
    return 0


def _is_unread(pipe: int) -> bool:
    """Return whether the pipe holds bytes that nobody has read; True if that is not known."""
    try:
        return any(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
    except OSError:
        return True


class _Nothing:
    def configure(self, config: ConfigParser) -> None:
        """Do nothing."""

    def start(self, event: Event) -> int:
        """Return anything."""
        return len(str(event.id))


def rehearse() -> None:
    """Run the code of `_work` in the template, before any process is forked.

    Python fills caches and counts calls when it runs code for the first times, and writes to memory
    for that. If this happened in each process, each would have its own copy of these pages.
    """
    line = Event("rehearsal", {}, source="flow-work").encode()
    for _ in range(_REHEARSALS):
        with overhearing(lambda: None, follows_threads=False):
            check("Worker", _Nothing(), "")
            packets.head(b"\0", has_halted=False)
            _is_unread(1)
            _answer(_Nothing(), ReadEvent.of(orjson.loads(line)), ())


def _whole(packet: bytes, events: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind and the content of a packet; the content of a large one is in a file."""
    if packet[:1] != packets.FILE:
        return packet[:1], packet[1:]
    _, fds, _, _ = socket.recv_fds(events, 1, 1, socket.MSG_CMSG_CLOEXEC)
    with os.fdopen(fds[0], "rb") as file:
        file.seek(0)
        return packet[1:], file.read()


def _answer(worker: Any, event: Event, pausing: tuple[type[Exception], ...]) -> tuple[bytes, bytes]:
    try:
        try:
            returned = worker.start(event)
        finally:  # Before any call of our code, in which a trace function of the Worker may raise.
            unprofile()
            untrace()
        lines = lines_of(event, returned) if returned is not None else None
        return (LINES, b"".join(lines)) if lines else (DONE, b"")
    except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
        return ERROR, pickle.dumps(_failure(error, pausing))


class _Batch:
    """The events of one call of `start_many`."""

    def __init__(
        self, lines: bytes, channel: socket.socket, pausing: tuple[type[Exception], ...]
    ) -> None:
        """Read the events of `lines`.

        If the Worker fails a single event, that is sent to `channel` immediately, so that flow-work
        knows it even if this process dies before it answers.
        """
        made = [ReadEvent.of(orjson.loads(line)) for line in lines.splitlines()]
        self.events = Events(made, self._fail)
        self._failures: dict[int, Failure] = {}
        self._channel = channel
        self._failure = partial(_failure, pausing=pausing)
        # Other threads of the Worker may fail events, and a failure may take several packets.
        self._sending = threading.Lock()
        self._is_answered = False

    def _fail(self, place: int, error: BaseException | str) -> None:
        made = failed(error, self._failure)
        with self._sending:
            if self._is_answered:
                return
            self._failures[place] = made
            packets.send(self._channel, FAILED, pickle.dumps((place, made)))

    def answer(self, worker: Any) -> tuple[bytes, bytes]:
        """Run the Worker on the batch; return the kind and the content of the answer."""
        answer: tuple[bytes, bytes]
        try:
            try:
                found = run_batch(
                    worker.start_many, self.events, self._failures, lines_of, self._failure
                )
            finally:
                unprofile()
                untrace()
            answer = ANSWERS, pickle.dumps(found)
        except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
            answer = ERROR, pickle.dumps(self._failure(error))
        self.events.end()
        with self._sending:
            # The pool settles the batch after the answer, so that a later failure has no effect.
            self._is_answered = True
        return answer


def _failure(error: BaseException, pausing: tuple[type[Exception], ...]) -> Failure:
    return Failure.of(error, pausing=pausing, with_traceback=shows_tracebacks())


def ignore_signals_for_all() -> None:
    """Ignore SIGINT and SIGTERM in this process, but not in programs that the Worker starts."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # A handler that does nothing, since programs would inherit SIG_IGN.
        signal.signal(signum, lambda signum, frame: None)
        signal.siginterrupt(signum, False)  # System calls of the Worker continue.


def leave(status: int) -> None:
    """End a forked process with `status`, without returning to the frames of its parent."""
    try:
        # The interpreter's own end would do this. multiprocessing (popen_fork) does the same.
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(status)


def main_fresh(parent: int, plan: int, events: int, answers: int, output: int) -> None:
    """Run as the process, in a fresh interpreter; `plan` is the descriptor of a pickled Plan."""
    ignore_signals_for_all()
    with os.fdopen(plan, "rb") as file:
        made: Plan = pickle.load(file)  # noqa: S301  from our own parent
    sys.path[:] = made.path
    console.configure(*made.form[:4])
    for fd in (events, answers, output):
        os.set_inheritable(fd, False)
    channels = socket.socket(fileno=events), socket.socket(fileno=answers)
    sys.exit(be_child(made, parent, *channels, output))
