"""Runs a Redis server for one benchmark, on a Unix socket; needs the package redis-server."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import redis


@contextmanager
def running(folder: str) -> Iterator[redis.Redis]:
    """Yield a connection to a server whose socket is `folder`/redis."""
    path = Path(folder) / "redis"
    command = ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", ""]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            while not path.exists():
                time.sleep(0.01)
            yield redis.Redis(unix_socket_path=str(path))
        finally:
            server.terminate()


def wait_for(connection: redis.Redis, key: str) -> None:
    """Wait until the key `key` exists."""
    while not connection.exists(key):
        time.sleep(0.002)


def measure(
    folder: str, command: list[str], start: Callable[[Any], Any], mark: Callable[[str], Any]
) -> None:
    """Run the worker `command`, send it the lines of stdin as tasks, and print how long they took.

    `start` sends an event. `mark` sends a task that sets a key, so that its end is noticed.
    """
    devnull = subprocess.DEVNULL
    with (
        running(folder) as connection,
        subprocess.Popen(command, stdout=devnull, stderr=devnull) as worker,
    ):
        mark("ready")
        wait_for(connection, "ready")
        began = perf_counter()
        for line in sys.stdin.buffer:
            start(orjson.loads(line))
        mark("done")
        wait_for(connection, "done")
        sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
        worker.terminate()


def as_module(name: str) -> None:
    """Import the contender `name` as a module, and call its `main` with the command line.

    The worker process imports the same module, so that both use the same names for the tasks. The
    last argument, the seconds that each task waits, is passed in the environment instead.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CONTENDER_FOLDER": folder, "CONTENDER_SECONDS": sys.argv[-1]}
        importlib.import_module(f"benchmarks.pool.contenders.{name}").main(*sys.argv[1:-1])
