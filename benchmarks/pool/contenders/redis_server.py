"""A Redis server of our own, on a Unix socket: apt-get install redis-server."""

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
    """Wait until `key` is there."""
    while not connection.exists(key):
        time.sleep(0.002)


def as_module(name: str) -> None:
    """Call `main` of a contender as the module that its worker has, so that tasks have one name.

    The command line ends with the seconds that each task waits; `main` gets what is before.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CONTENDER_FOLDER": folder, "CONTENDER_SECONDS": sys.argv[-1]}
        importlib.import_module(f"benchmarks.pool.contenders.{name}").main(*sys.argv[1:-1])
