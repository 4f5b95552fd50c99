"""multiprocessing.Pool.imap_unordered; the lines are decoded in its processes."""

import multiprocessing
import sys
from time import perf_counter

import orjson

workers, chunk = int(sys.argv[1]), int(sys.argv[2])


def start(line):
    orjson.loads(line)


if __name__ == "__main__":
    began = perf_counter()
    with multiprocessing.Pool(workers) as pool:
        for _ in pool.imap_unordered(start, sys.stdin.buffer, chunk):
            pass
    sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
