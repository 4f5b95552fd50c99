"""ProcessPoolExecutor with WORKERS processes; its `map` sends the lines in chunks."""

import sys
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter

import orjson

workers, chunk = int(sys.argv[1]), int(sys.argv[2])


def start(event):
    pass


if __name__ == "__main__":
    began = perf_counter()
    with ProcessPoolExecutor(workers) as pool:
        for _ in pool.map(start, map(orjson.loads, sys.stdin.buffer), chunksize=chunk):
            pass
    sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
