"""What a process that runs for months does about its memory."""

import ctypes
import gc
import os

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def spare_the_collector() -> None:
    """Let Python's cycle collector look less often, and not at what is loaded by now.

    For a process that makes many objects and hardly a cycle. Best called when the modules
    are loaded and nothing of a user's is: what that leaves behind is collected as ever.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def keep_one_heap() -> None:
    """Let all threads allocate from one heap; MALLOC_ARENA_MAX in the environment wins.

    glibc gives each thread one of up to eight heaps per processor, and hardly ever gives
    memory back from any. Where threads come and go with each connection, every heap grows in
    the course of days to what the largest task has ever taken.

    Best called before there is a second thread. Other C libraries have nothing to set.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)
