"""The idea of the older Flow's pool: two threads for each event.

One runs the Worker, and the other joins it with a time-out. A semaphore bounds their number.
"""

import sys
import threading
from time import perf_counter

import orjson

room = threading.Semaphore(int(sys.argv[1]))


def start(event):
    pass


def control(event):
    worker = threading.Thread(target=start, args=(event,))
    worker.start()
    worker.join(60)
    room.release()


began = perf_counter()
controls = []
for line in sys.stdin.buffer:
    room.acquire()
    controls = [each for each in controls if each.is_alive()]
    controls.append(threading.Thread(target=control, args=(orjson.loads(line),)))
    controls[-1].start()
for each in controls:
    each.join()
sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
