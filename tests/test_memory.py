"""Measures against memory growth in processes that run for months."""

import ctypes
import os
import subprocess
import sys

import pytest

HEAPS = """
import ctypes, re, sys, tempfile, threading
from flowtools.process.memory import keep_one_heap

if sys.argv[1:]:
    keep_one_heap()
together = threading.Barrier(8)

def allocate():
    together.wait()
    bytearray(100_000)
    together.wait()

threads = [threading.Thread(target=allocate) for _ in range(8)]
for each in threads:
    each.start()
for each in threads:
    each.join()
libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
with tempfile.NamedTemporaryFile() as file:
    stream = ctypes.c_void_p(libc.fopen(file.name.encode(), b"w"))
    libc.malloc_info(0, stream)
    libc.fclose(stream)
    print(len(re.findall(b"<heap nr=", file.read())))
"""


def heaps(*args, **variables):
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"} | variables
    command = [sys.executable, "-c", HEAPS, *args]
    return int(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="a C library of its own")
def test_threads_share_one_heap():
    assert heaps() > 1
    assert heaps("one") == 1
    assert heaps("one", MALLOC_ARENA_MAX="3") == 3
