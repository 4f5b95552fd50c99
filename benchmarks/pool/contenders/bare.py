"""The least that any program must do with a line: decode it."""

import sys
from time import perf_counter

import orjson

began = perf_counter()
for line in sys.stdin.buffer:
    orjson.loads(line)
sys.stderr.write(f"inside {perf_counter() - began:.6f}\n")
