"""Dramatiq and Redis: from the first message sent to the last one done.

`dramatiq_worker.py PROCESSES THREADS SECONDS < lines`: THREADS is the number for each process. Each
message waits SECONDS. The worker imports this file as a module, too.
"""

import os
import sys
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

FOLDER = os.environ.get("CONTENDER_FOLDER", "")
SECONDS = float(os.environ.get("CONTENDER_SECONDS", "0"))
dramatiq.set_broker(RedisBroker(client=redis.Redis(unix_socket_path=f"{FOLDER}/redis")))


@dramatiq.actor
def start(event):
    if SECONDS:
        time.sleep(SECONDS)


@dramatiq.actor
def mark(name):
    start(None)  # The last of the others are done by then.
    redis.Redis(unix_socket_path=f"{FOLDER}/redis").set(name, 1)


def main(processes: str, threads: str) -> None:
    from benchmarks.pool.contenders.redis_server import measure

    name = "benchmarks.pool.contenders.dramatiq_worker"
    command = [sys.executable, "-m", "dramatiq", name]
    command += ["--processes", processes, "--threads", threads]
    measure(FOLDER, command, start.send, mark.send)


if __name__ == "__main__":
    from benchmarks.pool.contenders.redis_server import as_module

    as_module("dramatiq_worker")
