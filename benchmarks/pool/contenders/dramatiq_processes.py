"""Dramatiq with processes of one thread each and Redis: from the first message to the last done.

`dramatiq_processes.py 2 < lines`; the worker imports this file as a module, too.
"""

import os
import subprocess
import sys
import tempfile
from time import perf_counter

import dramatiq
import orjson
import redis
from dramatiq.brokers.redis import RedisBroker

FOLDER = os.environ.get("CONTENDER_FOLDER", "")
dramatiq.set_broker(RedisBroker(client=redis.Redis(unix_socket_path=f"{FOLDER}/redis")))


@dramatiq.actor
def start(event):
    pass


@dramatiq.actor
def mark(name):
    redis.Redis(unix_socket_path=f"{FOLDER}/redis").set(name, 1)


def main() -> None:
    from benchmarks.pool.contenders.redis_server import running, wait_for

    name = "benchmarks.pool.contenders.dramatiq_processes"
    command = [sys.executable, "-m", "dramatiq", name, "--processes", sys.argv[1], "--threads", "1"]
    with running(FOLDER) as connection:
        devnull = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=devnull, stderr=devnull) as worker:
            mark.send("ready")
            wait_for(connection, "ready")
            began = perf_counter()
            for line in sys.stdin.buffer:
                start.send(orjson.loads(line))
            mark.send("done")
            wait_for(connection, "done")
            sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
            worker.terminate()


if __name__ == "__main__":
    if FOLDER:
        from benchmarks.pool.contenders import dramatiq_processes

        dramatiq_processes.main()
    else:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"CONTENDER_FOLDER": folder}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
