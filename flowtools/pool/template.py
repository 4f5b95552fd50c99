"""The template process of `--isolation process`: it forks the processes that run the Worker.

The template imports the Worker's module and does nothing else. So each process that is forked from
it has the module at once, shares its memory, and configures a Worker of its own.

The template itself is a fork of flow-work, made before flow-work starts a thread. A fork has only
the thread that forked, and a lock that another thread held stays locked in it. If flow-work has
threads already, the template is a fresh interpreter. If the import starts threads, each process is
a fresh interpreter, which takes longer to start.

When flow-work closes the connection or dies, even by SIGKILL, the template kills the process group
of each process that has not been reaped, and ends. When the template dies, the kernel kills its
processes, and flow-work starts another template.
"""

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from flowtools.core.errors import ConfigurationError, InternalError
from flowtools.core.log import get_log
from flowtools.pool import packets
from flowtools.pool.child import Plan, be_child, ignore_signals_for_all, leave, rehearse, speak
from flowtools.process import console
from flowtools.process.ear import Ear
from flowtools.process.kin import c_library, kill_group, threads_of_this_process
from flowtools.process.overheard import overhearing
from flowtools.worker.contract import load, takes_batches
from flowtools.worker.loading import load_exceptions

_FORKS, _FRESH, _BROKEN = b"f", b"i", b"b"
_MANY = b"m"
_SPAWN, _REAP = b"s", b"r"
_HOME = Path(__file__).resolve().parents[2]

log = get_log("flowtools.pool")


class Template:
    """The template process, as flow-work uses it. Safe from any thread.

    Attributes:
        has_served: Whether a process has ever configured its Worker. Then a later process that
            cannot do so is tried again; otherwise the pool ends.
        ear: Reads the output of the processes.
        mark: The bytes before each message of a process.
        takes_batches: Whether the Worker has a `start_many`.
    """

    def __init__(self, plan: Plan, ear: Ear) -> None:
        """Start the template, and wait until it has imported the Worker's module.

        `ear` reads the output of the processes.

        Raises:
            ConfigurationError: The module cannot be imported, or has no such Worker.
        """
        self.has_served = self.takes_batches = False
        self.ear = ear
        self.mark = plan.mark
        self._output = -1
        self._plan = plan
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._begin()

    def spawn(self, events: socket.socket, answers: socket.socket, output: int) -> int:
        """Start a process that reads `events` and writes `answers`; return its id.

        All its other output goes to the pipe `output`.

        Raises:
            InternalError: The process cannot be started.
        """
        given = [events.fileno(), answers.fileno(), output]
        with self._lock:
            try:
                said = self._ask(_SPAWN, given)
            except (EOFError, OSError):
                log.warning("the template process has died; starting another")
                self._discard()
                self._begin()
                said = self._ask(_SPAWN, given)
        if said.isdigit():
            return int(said)
        raise InternalError(f"cannot start a process: {said.decode()}")

    def reap(self, pid: int) -> int | None:
        """Return the exit status of a process (`os.waitstatus_to_exitcode`); None: not known."""
        with self._lock:
            try:
                said = self._ask(b"%b%d" % (_REAP, pid))
            except (EOFError, OSError):
                return None
        return int(said) if said else None

    def close(self) -> None:
        """End the template, and with it every process that has not been reaped."""
        with self._lock:
            self._discard()

    def _begin(self) -> None:
        self._control, theirs = packets.pair()
        self._output, output = os.pipe2(os.O_CLOEXEC)
        with theirs:
            console.rest()
            if not self._pid and threads_of_this_process() == 1:
                # Without this, the template's garbage collector would write to, and so copy, the
                # memory that it shares with this process.
                gc.freeze()
                self._pid = os.fork()
                if self._pid == 0:
                    leave(_guarded(theirs, self._control, self._plan, output))
            else:
                self._process = subprocess.Popen(  # noqa: S603  ourselves
                    fresh(f"template.main_fresh({theirs.fileno()})"),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    process_group=0,
                )
        os.close(output)
        self.ear.add(self._output, lambda: None, self.mark)
        if self._process is not None:
            packets.send(self._control, packets.EVENT, pickle.dumps(self._plan))
        try:
            kind, content = packets.receive(self._control)
        except (EOFError, OSError):
            self._discard()
            name = self._plan.worker
            raise ConfigurationError(
                f"cannot load Worker '{name}': the process that imports it has died"
            ) from None
        if kind == _BROKEN:
            self._discard()
            packets.raise_broken(content)
        self.takes_batches = content == _MANY
        if kind == _FRESH:
            log.warning(
                "importing Worker '%s' starts threads, so each process is a new interpreter, which"
                " takes longer to start and more memory",
                self._plan.worker,
            )

    def _ask(self, request: bytes, fds: list[int] | None = None) -> bytes:
        socket.send_fds(self._control, [request], fds or [])
        return packets.receive(self._control)[1]

    def _discard(self) -> None:
        self._control.close()
        self.ear.leave(self._output)
        with suppress(ChildProcessError):
            if self._process is not None:
                self._process.wait()
            else:
                os.waitpid(self._pid, 0)


def fresh(call: str) -> list[str]:
    """Return the command of a fresh interpreter that makes `call` of a module of the pool.

    The search path is not passed in the environment, which programs of the Worker would inherit.
    It is not passed before Python's own either, or a user's module could replace one of Python's.
    """
    module = call.partition(".")[0]
    code = (
        f"import sys; sys.path.append({str(_HOME)!r}); from flowtools.pool import {module}; {call}"
    )
    return [sys.executable, "-P", "-c", code]


def main_fresh(control: int) -> None:
    """Run as the template, in a fresh interpreter; the first packet is the Plan."""
    channel = socket.socket(fileno=control)
    plan: Plan = pickle.loads(packets.receive(channel)[1])  # noqa: S301  from flow-work
    sys.path[:] = plan.path
    console.configure(*plan.form[:4])
    speak(plan, os.dup(2))
    sys.exit(_serve(channel, plan))


def _guarded(control: socket.socket, theirs: socket.socket, plan: Plan, output: int) -> int:
    """Run as the template, in a fork; return the exit status."""
    theirs.close()
    os.setpgid(0, 0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        # This also closes the copy of stdout. The reader of the results would otherwise not see
        # their end when flow-work ends.
        speak(plan, output)
        # Pickled and made again, so that no connection of flow-work is shared.
        own: Plan = pickle.loads(pickle.dumps(plan))  # noqa: S301
        return _serve(control, own)
    except BaseException:  # noqa: BLE001  the frames below belong to flow-work
        sys.excepthook(*sys.exc_info())
        return 70


def _serve(control: socket.socket, plan: Plan) -> int:
    ignore_signals_for_all()
    try:
        with overhearing(lambda: None, follows_threads=False):
            worker = load(plan.worker)
            load_exceptions(plan.pause_on)
    except ConfigurationError as error:
        packets.send(control, _BROKEN, packets.broken(error))
        return 0
    forks = threads_of_this_process() == 1
    many = _MANY if takes_batches(worker) else b""
    packets.send(control, _FORKS if forks else _FRESH, many)
    c_library()
    if forks:
        rehearse()
    gc.collect()
    gc.freeze()  # The collector would write to, and so copy, the pages that the processes share.
    processes: dict[int, subprocess.Popen[bytes] | None] = {}
    while True:
        request, fds, _, _ = socket.recv_fds(control, 64, 3, socket.MSG_CMSG_CLOEXEC)
        if not request:
            break
        if request[:1] == _REAP:
            said = _reap(processes, int(request[1:]))
        else:
            said = _spawn(processes, control, plan, fds, forks=forks)
            for fd in fds:
                os.close(fd)
        packets.send(control, request[:1], said)
    for pid in processes:
        kill_group(pid)
    return 0


def _spawn(
    processes: dict[int, subprocess.Popen[bytes] | None],
    control: socket.socket,
    plan: Plan,
    fds: list[int],
    *,
    forks: bool,
) -> bytes:
    parent = os.getpid()
    try:
        if not forks:
            process = _interpreter(plan, parent, fds)
            processes[process.pid] = process
            return b"%d" % process.pid
        pid = os.fork()
    except OSError as error:
        return (error.strerror or str(error)).encode()
    if pid == 0:
        control.close()
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            status = be_child(
                plan, parent, socket.socket(fileno=fds[0]), socket.socket(fileno=fds[1]), fds[2]
            )
        except BaseException:  # noqa: BLE001  the frames below belong to the template
            sys.excepthook(*sys.exc_info())
        finally:
            leave(status)
    with suppress(OSError):
        # The process does the same. Both do it, since either may be first, and the group must exist
        # before it has to be killed.
        os.setpgid(pid, pid)
    processes[pid] = None
    return b"%d" % pid


def _interpreter(plan: Plan, parent: int, fds: list[int]) -> subprocess.Popen[bytes]:
    with os.fdopen(os.memfd_create("plan"), "wb") as file:
        pickle.dump(plan, file)
        file.seek(0)
        given = [file.fileno(), *fds]
        return subprocess.Popen(  # noqa: S603  ourselves
            fresh(f"child.main_fresh({parent}, {', '.join(map(str, given))})"),
            pass_fds=given,
            process_group=0,
        )


def _reap(processes: dict[int, subprocess.Popen[bytes] | None], pid: int) -> bytes:
    """Return the exit status of a process as text; empty if it has not ended."""
    process = processes.get(pid)
    if process is not None:
        status = process.poll()
        if status is None:
            return b""
    else:
        try:
            found, raw = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            found, raw = pid, 0
        if not found:
            return b""
        status = os.waitstatus_to_exitcode(raw)
    del processes[pid]
    return b"%d" % status
