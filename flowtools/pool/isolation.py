"""How a thread of the pool runs its Worker in a process of its own.

Each thread of the pool owns one child, `python -m flowtools.pool.isolation`, that makes and
configures its own Worker. A time-out kills the child; a child that dies (segmentation
fault, os._exit, out of memory) fails the event it had and no other. Ours rather than a
process pool of a library: those hand events over between threads and poll, and here the
pool's own thread waits on the child's socket.

The child ignores SIGINT and SIGTERM, which a terminal and systemd send to everybody: it
ends when its parent closes the socket, or dies.
"""

import os
import signal
import socket
import subprocess
import sys
from configparser import ConfigParser
from multiprocessing.connection import Connection
from typing import Any

from flowtools.core.errors import ConfigurationError
from flowtools.core.event import Event
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.results import lines_of
from flowtools.pool.runner import RunnerBroken
from flowtools.process.console import configure, form, shows_tracebacks
from flowtools.process.stdout import LabelledStderr
from flowtools.worker.contract import make
from flowtools.worker.needs import Equipment

READY_SECONDS = 120.0
"""How long a child may take to load and configure its Worker."""

CLOSE_SECONDS = 5.0
"""How long a child may take to clean up once its socket is closed."""

Answer = tuple[str, Any]


class Failed(Exception):
    """The attempt in the child has failed, or the child has died: `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class ProcessRunner:
    """Runs the Worker in a child process, made anew after each death."""

    def __init__(self, name: str, config: ConfigParser, equipment: Equipment | None = None) -> None:
        """Start a child that loads the Worker `name`, equips and configures it.

        `prepare` waits until it is ready: so the children of a pool start together.
        """
        self._name = name
        self._config = config
        self._equipment = equipment
        self._spawn()

    def prepare(self) -> None:
        """See that there is a child with a Worker; making one is in no event's time.

        Raises:
            RunnerBroken: The child could not make its Worker.
        """
        while not (self._is_ready and self._process.poll() is None):
            if self._process.poll() is not None and self._is_ready:
                self._connection.close()
                self._spawn()
            self._expect_ready()

    def start(self, event: Event) -> list[bytes] | None:
        """Run the Worker; see flowtools.pool.runner.Runner.

        Raises:
            Failed: The Worker raised, or the child has died.
        """
        try:
            self._connection.send(event)
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            text = f"Crashed: {_how_it_ended(self._process.wait())}"
            raise Failed(Failure(Outcome.FAILED, text)) from None
        if kind == "done":
            lines: list[bytes] | None = content
            return lines
        raise Failed(content)

    def lines(self, event: Event, returned: list[bytes]) -> list[bytes]:
        """Return the lines that the child has made."""
        return returned

    def failure(self, error: BaseException) -> Failure:
        """Return what the child said of it."""
        return error.failure if isinstance(error, Failed) else Failure.of(error)

    def interrupt(self, thread: int) -> None:
        """Kill the child; `start` then raises in its thread."""
        self._process.kill()
        # The next event must not meet a child that is dead and does not look it.
        self._process.wait()

    def close(self) -> None:
        """Let the child clean up and end; kill it if it does not."""
        self._connection.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(  # noqa: S603  ourselves
                [sys.executable, "-m", "flowtools.pool.isolation", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
            self._connection = Connection(ours.detach())
        self._is_ready = False
        self._connection.send((form(), self._name, self._config, self._equipment))

    def _expect_ready(self) -> None:
        try:
            if not self._connection.poll(READY_SECONDS):
                text = f"cannot configure the Worker: not done within {READY_SECONDS:g} s"
                raise RunnerBroken(ConfigurationError(text))
            kind, content = self._connection.recv()
        except (EOFError, OSError):
            how = _how_it_ended(self._process.wait())
            text = f"cannot configure the Worker: {how} meanwhile"
            raise RunnerBroken(ConfigurationError(text)) from None
        if kind != "ready":
            raise RunnerBroken(ConfigurationError(content))
        self._is_ready = True


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"its process was killed by {signal.Signals(-status).name}"
    return f"its process ended with status {status}"


def serve(connection: Connection) -> None:
    """Be the child: make the Worker, run it on each event that comes, clean up at the end."""
    said, name, config, equipment = connection.recv()
    configure(*said)
    label = ["worker"]
    sys.stdout = LabelledStderr(lambda: label[0])
    try:
        worker = make(name, config, equipment)
    except ConfigurationError as error:
        connection.send(("broken", str(error)))
        return
    connection.send(("ready", None))
    while True:
        try:
            event = connection.recv()
        except (EOFError, OSError):
            break
        label[0] = str(event.subject or event.id)
        connection.send(_answer(worker, event))
    clean_up = getattr(worker, "clean_up", None)
    if clean_up is not None:
        clean_up()


def _answer(worker: Any, event: Event) -> Answer:
    try:
        return "done", lines_of(event, worker.start(event)) or None
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  any failure
        return "failed", Failure.of(error, with_traceback=shows_tracebacks())


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        # The pool says when to end. Not SIG_IGN: the Worker's own programs would inherit
        # that, and nobody could terminate them.
        signal.signal(signum, lambda signum, frame: None)
        signal.siginterrupt(signum, False)  # Nor is a call of the Worker's to fail by it.
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
