"""Limits the time of user code that may hang in the main thread after a signal.

While such code runs, the main thread cannot act on a request to end. A thread, which `bounded`
starts and joins, waits for the request instead. When the time is over, it ends the process by the
signal that asked for it. The handler of that signal has run once, so that the signal has its
default effect again (see signals.py).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from flowtools.core.log import get_log
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, wait
from flowtools.process import console
from flowtools.process.signals import end_at_once

_PAUSE = 0.1

_log = get_log("flowtools")


@contextmanager
def bounded(what: str, stop: Stop, seconds: float) -> Iterator[None]:
    """Let the block take any time, but at most `seconds` once a signal has set `stop`.

    After that the process ends.

    Args:
        what: A description of the block, for the message.
        stop: The request to end.
        seconds: The time for the block after the request.
    """
    over = Stop()

    def watch() -> None:
        wait(stop, over)
        # `stop` may have been set without a signal. Then a signal may still come.
        while stop.signum is None:
            if over.wait(_PAUSE):
                return
        if over.wait(seconds):
            return
        signum = stop.signum
        name = signal.Signals(signum).name
        _log.error("%s has not ended within %g s after %s; ending anyway", what, seconds, name)
        console.flush(1.0)
        end_at_once(signum)

    thread = Thread(target=watch, name="bounded", daemon=True)
    start_thread(thread)
    try:
        yield
    finally:
        over.set()
        thread.join()
        over.close()
