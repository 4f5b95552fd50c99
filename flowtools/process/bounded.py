"""Code of others in the main thread that may hang: after a signal it has bounded time.

While such code runs, the main thread cannot act on a request to end. A thread, which
`bounded` starts and joins, waits for that request instead. When the time is up it ends the
process by the signal that asked for it: its handler has served, so that signal now means what
it means to every process (see signals.py).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from flowtools.core.log import get_log
from flowtools.core.tracing import start_thread
from flowtools.core.wait import Stop, wait
from flowtools.process import console
from flowtools.process.signals import end_at_once

_PAUSE = 0.1

_log = get_log("flowtools")


@contextmanager
def bounded(what: str, stop: Stop, seconds: float) -> Iterator[None]:
    """Let the block take any time, but `seconds` at most once a signal has set `stop`.

    After that the process ends.

    Args:
        what: What the block does, for the message.
        stop: The request to end.
        seconds: The time.
    """
    over = Stop()

    def watch() -> None:
        wait(stop, over)
        # Something else than a signal may have set it: then one may still come.
        while stop.signum is None:
            if over.wait(_PAUSE):
                return
        if over.wait(seconds):
            return
        signum = stop.signum
        name = signal.Signals(signum).name
        _log.error(
            "%s has not ended within %g s after %s; ending all the same", what, seconds, name
        )
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
