"""Starts the threads of flowtools.

No other module calls Python's own `Thread.start`, because it does two things that could hurt us. It
gives each new thread the trace function that a user's code has set for all threads. And it waits
without limit until the new thread has begun. A thread without memory ends before that, and the
caller would hang (github.com/python/cpython/issues/140746). So a second, short thread calls
`Thread.start`, and the caller waits a limited time for that thread.
"""

import _thread
import threading

BEGINS = 30.0
"""Seconds after which a new thread counts as dead. A machine this busy could not work either."""

# Those that new threads get before any code of a user's was imported, such as a debugger's.
_trace_of_all, _profile_of_all = threading.gettrace(), threading.getprofile()


def start_thread(thread: threading.Thread) -> None:
    """Start a thread of ours, without a trace function that a user's code has set for all threads.

    Raises:
        RuntimeError: The system has no room for another thread, or no memory for it.
    """
    if threading.gettrace() is not _trace_of_all:
        threading.settrace(_trace_of_all)
    if threading.getprofile() is not _profile_of_all:
        threading.setprofile(_profile_of_all)
    ended = _thread.allocate_lock()
    errors: list[Exception] = []

    def start() -> None:
        try:
            thread.start()
        except (RuntimeError, MemoryError) as error:
            errors.append(error)
        finally:
            ended.release()

    ended.acquire()
    _thread.start_new_thread(start, ())
    if not ended.acquire(timeout=BEGINS):
        raise RuntimeError(f"can't start new thread: it has not begun within {BEGINS:.0f} s")
    if errors:
        raise errors[0]
