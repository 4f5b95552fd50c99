"""Runs a Redis server for one benchmark, on a Unix socket; needs the package redis-server."""

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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


def as_module(name: str) -> None:
    """Import the contender `name` as a module, and call its `main` with the command line.

    The worker process imports the same module, so that both use the same names for the tasks. The
    last argument, the seconds that each task waits, is passed in the environment instead.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CONTENDER_FOLDER": folder, "CONTENDER_SECONDS": sys.argv[-1]}
        importlib.import_module(f"benchmarks.pool.contenders.{name}").main(*sys.argv[1:-1])
