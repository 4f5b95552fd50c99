"""Huey and Redis: from the first task sent to the last one done.

`huey_worker.py thread|process WIDTH SECONDS < lines`; each task waits SECONDS. The worker
imports this file as a module, too.
"""

import os
import sys
import time

import redis
from huey import RedisHuey

FOLDER = os.environ.get("CONTENDER_FOLDER", "")
SECONDS = float(os.environ.get("CONTENDER_SECONDS", "0"))
app = RedisHuey("contender", results=False, url=f"unix://{FOLDER}/redis")


@app.task()
def start(event):
    if SECONDS:
        time.sleep(SECONDS)


@app.task()
def mark(name):
    start.call_local(None)  # The last of the others are done by then.
    redis.Redis(unix_socket_path=f"{FOLDER}/redis").set(name, 1)


def main(kind: str, width: str) -> None:
    from benchmarks.pool.contenders.redis_server import measure

    name = "benchmarks.pool.contenders.huey_worker.app"
    command = [sys.executable, "-m", "huey.bin.huey_consumer", name, "-k", kind, "-w", width]
    measure(FOLDER, command, start, mark)


if __name__ == "__main__":
    from benchmarks.pool.contenders.redis_server import as_module

    as_module("huey_worker")
