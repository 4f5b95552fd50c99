"""A process of `--isolation process`: has a Worker of its own, and runs it on what comes.

It comes into being in one of two ways. Usually as a fork of the template process
(template.py), which has imported the Worker's module. As a fresh interpreter, where
the import of that module starts threads: those would be missing in a fork.

SIGINT and SIGTERM, which a terminal and systemd send to everybody, are for flow-work to
act on: this process ends when flow-work closes its socket, or dies.
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

from flowtools.core.errors import ConfigurationError, FlowError
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
"""How often: CPython 3.11 specializes code that has run eight times."""


@dataclass(frozen=True)
class Plan:
    """What a process has to know to make its Worker; it can be pickled.

    Attributes:
        worker: MODULE:CLASS.
        config: The Worker's settings.
        equipment: What it may ask for; None: as the environment says.
        pause_on: Exceptions that mean the same as Unavailable, each MODULE:CLASS.
        form: How messages are given.
        path: Where modules are looked for, as `sys.path`.
        mark: Begins a message of the process among what its programs write.
    """

    worker: str
    config: ConfigParser
    equipment: Equipment | None = None
    pause_on: tuple[str, ...] = ()
    form: Form = field(default_factory=form)
    path: list[str] = field(default_factory=lambda: list(sys.path))
    mark: bytes = field(default_factory=lambda: b"\x1e" + token_hex(8).encode() + b" ")


def speak(plan: Plan, output: int) -> None:
    """Let all that this process writes go to `output`, a pipe; messages as such.

    `console.configure` has been called, here or in the process that this one is a fork of.
    """
    for fd in (1, 2):
        os.dup2(output, fd)
    console.relay_to(Mouth(output, plan.mark).say)


def be_child(
    plan: Plan, parent: int, events: socket.socket, answers: socket.socket, output: int
) -> int:
    """Be the process; return its exit status.

    Args:
        plan: What to do.
        parent: The process with which this one dies.
        events: Where events come from.
        answers: Where what became of them goes.
        output: The pipe for what it writes.
    """
    # Every page that is written to here, and not in the template already, is not shared.
    os.setpgid(0, 0)
    die_with_parent(parent)
    # Whatever the Worker forks has no part in the conversation, and must not hold it open.
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
        worker = make(plan.worker, plan.config, plan.equipment)
        pausing = load_exceptions(plan.pause_on)
    except ConfigurationError as error:
        packets.send(answers, BROKEN, str(error).encode("utf-8", "backslashreplace"))
        return 1
    packets.send(answers, READY)
    is_halted = False
    while packet := events.recv(packets.LARGEST + 2):
        kind, content = _whole(packet, events)
        if kind == GO:
            is_halted = False
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
    """Do, before any process is forked, what each of them does first.

    Python then writes to memory for the last time: caches, and counts within its code after
    which that is specialized. The processes share it; otherwise each has a copy of its own.
    """
    line = Event("rehearsal", {}, source="flow-work").encode()
    for _ in range(_REHEARSALS):
        with overhearing(lambda: None, follows_threads=False):
            check("Worker", _Nothing(), "")
            _answer(_Nothing(), ReadEvent.of(orjson.loads(line)), ())


def _whole(packet: bytes, events: socket.socket) -> tuple[bytes, bytes]:
    """Return what a packet is and its content; that of a large one is in a file."""
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
        finally:  # Before any call of ours: a trace function of the Worker's may raise.
            unprofile()
            untrace()
        lines = lines_of(event, returned) if returned is not None else None
        return (LINES, b"".join(lines)) if lines else (DONE, b"")
    except BaseException as error:  # noqa: BLE001  whatever a Worker raises is a failure
        return ERROR, pickle.dumps(_failure(error, pausing))


class _Batch:
    """Several events for one call of `start_many`."""

    def __init__(
        self, lines: bytes, channel: socket.socket, pausing: tuple[type[Exception], ...]
    ) -> None:
        """Read the events of `lines`; those that the Worker fails are told to `channel` at once.

        So flow-work knows of them even if this process does not live to answer.
        """
        made = [ReadEvent.of(orjson.loads(line)) for line in lines.splitlines()]
        self.events = Events(made, self._fail)
        self._failures: dict[int, Failure] = {}
        self._channel = channel
        self._failure = partial(_failure, pausing=pausing)
        # Threads of the Worker's may fail events, and a failure may take several packets.
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
        """Run the Worker; return what to answer."""
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
            self._is_answered = True  # No failure comes behind the answer.
        return answer


def _failure(error: BaseException, pausing: tuple[type[Exception], ...]) -> Failure:
    return Failure.of(error, pausing=pausing, with_traceback=shows_tracebacks())


def ignore_signals_for_all() -> None:
    """Take no notice of SIGINT and SIGTERM; programs that the Worker starts do take it."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN: the Worker's own programs would inherit that.
        signal.signal(signum, lambda signum, frame: None)
        signal.siginterrupt(signum, False)  # No call of the Worker's is to fail by it.


def leave(status: int) -> None:
    """End a fork: the frames below belong to another process, and must not be left."""
    try:
        # What the interpreter's own end would do; multiprocessing does the same (popen_fork).
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
        atexit._run_exitfuncs()  # noqa: SLF001
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(status)


def main_fresh(parent: int, plan: int, events: int, answers: int, output: int) -> None:
    """Be the process, as a fresh interpreter; `plan` is the descriptor of a pickled Plan."""
    ignore_signals_for_all()
    with os.fdopen(plan, "rb") as file:
        made: Plan = pickle.load(file)  # noqa: S301  from our own parent
    sys.path[:] = made.path
    console.configure(*made.form[:4])
    for fd in (events, answers, output):
        os.set_inheritable(fd, False)
    channels = socket.socket(fileno=events), socket.socket(fileno=answers)
    sys.exit(be_child(made, parent, *channels, output))
