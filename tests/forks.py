"""Commands without what it costs to start Python: forks of a process that has imported them all.

For tests of many cases, in which a command's start is not what is looked at. A fork is a process
of its own, with the arguments, the environment, the folder and the descriptors that it is given,
and ends as Python ends. `Forks` starts the process, `python -m tests.forks FD` is it.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 60


class Forks:
    """The process that forks, started when it is first needed."""

    def __init__(self):
        self._process = None

    def run(self, argv, *, env, cwd=None, stdout=None, stderr=None):
        """Run a Python script to its end, on no input: (status, stdout, stderr).

        Where `stdout` or `stderr`, files, take what it writes, the text is empty.
        """
        if self._process is None:
            self._start(env)
        with ExitStack() as files:
            none = files.enter_context(Path(os.devnull).open("rb"))
            kept = [files.enter_context(TemporaryFile()) for _ in range(2)]
            given = [none, stdout or kept[0], stderr or kept[1]]
            asked = {"argv": [*map(str, argv)], "env": env, "cwd": str(cwd or Path.cwd())}
            numbers = [file.fileno() for file in given]
            socket.send_fds(self._ours, [json.dumps(asked).encode()], numbers)
            status = json.loads(self._ours.recv(100))
            for file in kept:
                file.seek(0)
            return status, *(file.read().decode() for file in kept)

    def _start(self, env):
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(SECONDS)
        with theirs:
            command = [sys.executable, "-m", "tests.forks", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, pass_fds=[theirs.fileno()], start_new_session=True
            )

    def close(self):
        if self._process is not None:
            self._ours.close()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def serve(channel):
    """Fork for each request; return that of which this process is the fork."""
    while True:
        said, numbers, _, _ = socket.recv_fds(channel, 1 << 20, 3)
        if not said:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            channel.close()
            return json.loads(said), numbers
        for number in numbers:
            os.close(number)
        status = os.waitpid(pid, 0)[1]
        channel.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


def main():
    for path in (ROOT / "flowtools" / "commands").glob("*.py"):
        import_module(f"flowtools.commands.{path.stem}")
    for name in ("logging", "orjson", "uuid"):  # What they import when they run.
        import_module(name)
    gc.collect()
    gc.freeze()  # A fork that looked through all of this would cost as much as a start.
    request, numbers = serve(socket.socket(fileno=int(sys.argv[1])))
    for number, meant in zip(numbers, range(3), strict=True):
        os.dup2(number, meant)
        os.close(number)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.argv[:] = request["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
