"""Celery with prefork processes and Redis: from the first task sent to the last one done.

`celery_prefork.py 2 FOLDER < lines`; the worker imports this file as a module, too.
"""

import os
import subprocess
import sys
import tempfile
from time import perf_counter

import orjson
import redis
from celery import Celery

FOLDER = os.environ.get("CONTENDER_FOLDER", "")
app = Celery("contender", broker=f"redis+socket://{FOLDER}/redis")
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task
def start(event):
    pass


@app.task
def mark(name):
    redis.Redis(unix_socket_path=f"{FOLDER}/redis").set(name, 1)


def main() -> None:
    from benchmarks.pool.contenders.redis_server import running, wait_for

    name = "benchmarks.pool.contenders.celery_prefork"
    command = [sys.executable, "-m", "celery", "-A", name, "worker", "-P", "prefork"]
    command += ["-c", sys.argv[1], "--without-gossip", "--without-mingle", "--without-heartbeat"]
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
    if FOLDER:
        # As the module that the worker has, so that the tasks have the same names.
        from benchmarks.pool.contenders import celery_prefork

        celery_prefork.main()
    else:
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"CONTENDER_FOLDER": folder}
            sys.exit(subprocess.run([sys.executable, *sys.argv], env=environment).returncode)
