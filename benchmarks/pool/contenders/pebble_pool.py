"""pebble's ThreadPool or ProcessPool, bounded as in executor.py; only the latter has a time-out."""

import sys
import threading
from time import perf_counter

import orjson
import pebble

kind, workers = sys.argv[1], int(sys.argv[2])


def start(event):
    pass


if __name__ == "__main__":
    began = perf_counter()
    room = threading.BoundedSemaphore(2 * workers)
    with getattr(pebble, kind)(max_workers=workers) as pool:
        for line in sys.stdin.buffer:
            room.acquire()
            options = {"timeout": 60} if kind == "ProcessPool" else {}
            future = pool.schedule(start, args=[orjson.loads(line)], **options)
            future.add_done_callback(lambda _: room.release())
    sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
