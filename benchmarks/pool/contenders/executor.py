"""ThreadPoolExecutor, bounded by a semaphore so that its queue does not hold the input."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import orjson

threads, seconds = int(sys.argv[1]), float(sys.argv[2])


def start(event):
    if seconds:
        time.sleep(seconds)


began = time.perf_counter()
room = threading.BoundedSemaphore(2 * threads)
with ThreadPoolExecutor(threads) as executor:
    for line in sys.stdin.buffer:
        room.acquire()
        future = executor.submit(start, orjson.loads(line))
        future.add_done_callback(lambda _: room.release())
sys.stderr.write(f"inside {time.perf_counter() - began:.6f}\n")
