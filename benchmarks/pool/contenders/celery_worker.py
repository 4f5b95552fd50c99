"""Celery and Redis: from the first task sent to the last one done.

`celery_worker.py prefork|threads WIDTH SECONDS < lines`; each task waits SECONDS. The worker
imports this file as a module, too.
"""

import os
import subprocess
import sys
import time
from time import perf_counter

import orjson
import redis
from celery import Celery

FOLDER = os.environ.get("CONTENDER_FOLDER", "")
SECONDS = float(os.environ.get("CONTENDER_SECONDS", "0"))
app = Celery("contender", broker=f"redis+socket://{FOLDER}/redis")
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task
def start(event):
    if SECONDS:
        time.sleep(SECONDS)


@app.task
def mark(name):
    start(None)  # The last of the others are done by then.
    redis.Redis(unix_socket_path=f"{FOLDER}/redis").set(name, 1)


def main(kind: str, width: str) -> None:
    from benchmarks.pool.contenders.redis_server import running, wait_for

    name = "benchmarks.pool.contenders.celery_worker"
    command = [sys.executable, "-m", "celery", "-A", name, "worker", "-P", kind]
    command += ["-c", width, "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with running(FOLDER) as connection:
        devnull = subprocess.DEVNULL
        with subprocess.Popen(command, stdout=devnull, stderr=devnull) as worker:
            mark.apply_async(["ready"])
            wait_for(connection, "ready")
            began = perf_counter()
            for line in sys.stdin.buffer:
                start.apply_async([orjson.loads(line)])
            mark.apply_async(["done"])
            wait_for(connection, "done")
            sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
            worker.terminate()


if __name__ == "__main__":
    from benchmarks.pool.contenders.redis_server import as_module

    as_module("celery_worker")
