"""Celery and Redis: from the first task sent to the last one done.

`celery_worker.py prefork|threads WIDTH SECONDS < lines`; each task waits SECONDS. The worker
imports this file as a module, too.
"""

import os
import sys
import time

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
    from benchmarks.pool.contenders.redis_server import measure

    name = "benchmarks.pool.contenders.celery_worker"
    command = [sys.executable, "-m", "celery", "-A", name, "worker", "-P", kind]
    command += ["-c", width, "--without-gossip", "--without-mingle", "--without-heartbeat"]
    measure(
        FOLDER,
        command,
        lambda event: start.apply_async([event]),
        lambda name: mark.apply_async([name]),
    )


if __name__ == "__main__":
    from benchmarks.pool.contenders.redis_server import as_module

    as_module("celery_worker")
