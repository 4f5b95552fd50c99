"""Memory settings for a process that runs for months."""

import ctypes
import gc
import os

_M_ARENA_MAX = -8
"""From glibc's malloc.h."""


def spare_the_collector() -> None:
    """Let Python's cycle collector run less often, and skip what is loaded so far.

    This is for a process that makes many objects and hardly any cycles. Call it when the modules
    are loaded but no user code yet: garbage of user code is then still collected.
    """
    gc.freeze()
    # With Python's default (700 in 3.11) it went through all that is loaded every 700 objects.
    gc.set_threshold(10_000, 10, 10)


def keep_one_heap() -> None:
    """Let all threads allocate from one heap; MALLOC_ARENA_MAX in the environment wins.

    glibc gives each thread one of up to eight heaps per processor, and hardly ever returns memory
    of any. If threads come and go with each connection, every heap grows within days to the size
    of the largest task so far.

    Call this before there is a second thread. With other C libraries it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, 1)
