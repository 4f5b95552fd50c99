"""Commands without the cost of starting Python: forks of a process that has imported everything.

A fork is a separate process, with the arguments, the environment, the folder and the descriptors
that it is given, and ends as Python ends. It does not show how Python and its imports
start: with STARTS=real in the environment, as in `.ci/run`, tests/conftest.py starts each
command as a new process.

`Forks` asks for forks; this file, run as `python tests/forks.py FD`, is the process that forks.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, TimeoutExpired

from flowtools.core.wait import wait

ROOT = Path(__file__).resolve().parents[1]
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "FAKETIME")
"""Prefixes of variables that take effect only when a process starts."""

SEEN_TO = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
"""Of these, the variables that a fork itself handles as Python would."""


class Forks:
    """The process that forks, started when it is first needed, in an environment."""

    def __init__(self, env):
        self._env = env
        self._process = None

    def can(self, argv, env, options):
        """Whether it can run as a fork: a Python script, no option that needs a process."""
        with Path(argv[0]).open("rb") as script:
            python = b"python" in script.readline(100)
        changed = {name for name, _ in env.items() ^ self._env.items()} - SEEN_TO
        return (
            python
            and not any(name.startswith(AT_START) for name in changed)
            and options.keys() <= {"cwd", "stdin", "stdout", "stderr"}
        )

    def start(self, argv, *, env, cwd, stdin=None, stdout=None, stderr=None):
        """Run a Python script, as Popen would: a `Fork`."""
        if self._process is None:
            self._start()
        status, its_status = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as its_ends:
            its_ends.enter_context(its_status)
            streams, numbers = [], []
            for number, given in enumerate((stdin, stdout, stderr)):
                where = numbers[1] if given == STDOUT else given
                stream, its_number = its_ends.enter_context(descriptor(number, where))
                streams.append(stream)
                numbers.append(its_number)
            asked = {"argv": [*map(str, argv)], "env": env, "cwd": str(cwd)}
            numbers.append(its_status.fileno())
            socket.send_fds(self._channel, [json.dumps(asked).encode()], numbers)
        return Fork(argv, status, streams)

    def _start(self):
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            python = shutil.which("python3", path=self._env["PATH"])
            self._process = subprocess.Popen(
                [python, __file__, str(theirs.fileno())],
                stdin=DEVNULL,
                env={**self._env, "PYTHONPATH": ""},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def close(self):
        """End the process, which kills the remaining forks."""
        if self._process is not None:
            self._channel.close()
            self._process.wait()


@contextmanager
def descriptor(number, given):
    """What a process has as descriptor `number`: (our end of a pipe, or None, and its end)."""
    if given is None:
        yield None, number
    elif given == DEVNULL:
        with Path(os.devnull).open("r+b", buffering=0) as file:
            yield None, file.fileno()
    elif given == PIPE:
        reading, writing = os.pipe()
        ours, its = (writing, reading) if number == 0 else (reading, writing)
        try:
            yield os.fdopen(ours, "rb" if number else "wb"), its
        finally:
            os.close(its)
    else:
        yield None, given if isinstance(given, int) else given.fileno()


class Fork:
    """A process that was forked: what Popen offers of one, with binary pipes."""

    def __init__(self, args, status, streams):
        self.args = args
        self.stdin, self.stdout, self.stderr = streams
        self.returncode = None
        self._status = status
        self.pid = int(status.recv(100))

    def poll(self):
        with suppress(TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            if not wait(self._status, seconds=timeout):
                raise TimeoutExpired(self.args, timeout)
            self.returncode = int(self._status.recv(100))
            self._status.close()
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def communicate(self, input=None, timeout=None):
        until = time.monotonic() + (1e6 if timeout is None else timeout)
        threads = ThreadPoolExecutor(3)
        writing = threads.submit(self._write, input)
        streams = (self.stdout, self.stderr)
        reading = [stream and threads.submit(stream.read) for stream in streams]
        threads.shutdown(wait=False)
        try:
            out, err = (each and each.result(until - time.monotonic()) for each in reading)
            writing.result(until - time.monotonic())
        except TimeoutError:
            raise TimeoutExpired(self.args, timeout) from None
        self.wait(max(0.0, until - time.monotonic()))
        return out, err

    def _write(self, text):
        if self.stdin:
            with suppress(BrokenPipeError):
                self.stdin.write(text or b"")
            with suppress(BrokenPipeError):
                self.stdin.close()


def serve(channel):
    """Fork for each request, and report how forks end; in a fork, return its request."""
    running = {}
    while True:
        ready = wait(channel, *running)  # Not select(2): descriptors may be above 1023.
        for pidfd in running.keys() & {*ready}:
            tell_end(*running.pop(pidfd))
            os.close(pidfd)
        if channel.fileno() not in ready:
            continue
        said, numbers, _, _ = socket.recv_fds(channel, 1 << 20, 4)
        if not said:
            break
        status = socket.socket(fileno=numbers.pop())
        pid = os.fork()
        if pid == 0:
            for each in (channel, status, *(status for _, status in running.values())):
                each.close()
            for number in running:
                os.close(number)
            return json.loads(said), numbers
        for number in numbers:
            os.close(number)
        status.send(str(pid).encode())
        running[os.pidfd_open(pid)] = pid, status
    for pid, status in running.values():
        os.kill(pid, signal.SIGKILL)
        tell_end(pid, status)
    os._exit(0)


def tell_end(pid, status):
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with status, suppress(BrokenPipeError):  # The tests have gone: there is no one to report to.
        status.send(str(ended).encode())


def import_all():
    """Import every module that commands import, at their start and later."""
    for name in ("httpx", "logging", "lxml.etree", "orjson", "rich.console", "stomp", "uuid"):
        importlib.import_module(name)
    flowtools = importlib.import_module("flowtools")
    for module in pkgutil.walk_packages(flowtools.__path__, "flowtools."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


class Ending:
    """The last exit function: after it Python would only tear down its modules.

    That would take longer than many commands, since a fork has so many modules.
    """

    def __init__(self):
        self.status = None
        atexit.register(self._leave)

    def _leave(self):
        with suppress(OSError):  # Python flushes again at its end, and reports the error.
            sys.stdout.flush()
            sys.stderr.flush()
            if self.status is not None:
                os._exit(self.status)


def main():
    ending = Ending()
    path = sys.path[1:]
    sys.path[0] = str(ROOT)
    import_all()
    gc.collect()
    gc.freeze()  # Garbage collection of all this in a fork would cost as much as a start.
    asked, numbers = serve(socket.socket(fileno=int(sys.argv[1])))
    for number, meant in zip(numbers, range(3), strict=True):
        os.dup2(number, meant)
        os.close(number)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.argv[:] = asked["argv"]
    sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
    given = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:] = [str(Path(sys.argv[0]).resolve().parent), *given, *path]
    importlib.invalidate_caches()
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as error:
        ending.status = error.code if isinstance(error.code, int) else None
        raise


if __name__ == "__main__":
    main()
