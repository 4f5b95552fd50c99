"""Threads that run `done` and `clean_up` of a user's Source, so that nothing else waits for them.

`done` is a user's code: it may hang, raise anything, or emit further values. Acknowledgements go on
meanwhile. The number of events that wait here is limited by the gate's window, which counts an
event until its `done` has returned.
"""

import threading
from collections import deque
from collections.abc import Callable

from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.threads import start_thread
from flowtools.worker.description import described
from flowtools.worker.loading import clean_up

Told = tuple[Event, bool]
"""A settled event, and whether it is done (True) or was rejected."""


class Telling:
    """A queue whose thread calls `tell` for each event; the first event starts the thread.

    The thread is a daemon and is never joined, because a user's code may never return.
    """

    def __init__(self, tell: Callable[[Event, bool], None], told: Callable[[], None]) -> None:
        """Prepare; the thread starts at the first event.

        Args:
            tell: Called for each event, with whether it is done; must not raise.
            told: Called after each return of `tell`.
        """
        self._tell = tell
        self._told = told
        self._waiting: deque[Told] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, settled: list[Told]) -> None:
        """Queue these events for `tell`, in their order. Any thread may call."""
        with self._change:
            self._waiting.extend(settled)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="done", daemon=True)
                start_thread(self._thread)
            self._change.notify()

    def is_here(self) -> bool:
        """Return whether the calling thread is the one that calls `tell`."""
        return threading.current_thread() is self._thread

    def _run(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting)
                event, ok = self._waiting.popleft()
            self._tell(event, ok)
            self._told()


def clean_up_within(source: object, seconds: float) -> bool:
    """Call the Source's `clean_up`; return False if it has not returned within `seconds`.

    It runs in a thread of its own, which is left behind if it hangs.

    Raises:
        FlowError: It raised.
    """
    failures: list[FlowError] = []

    def run() -> None:
        try:
            clean_up(source, "Source")
        except FlowError as error:
            failures.append(error)
        except BaseException as error:  # noqa: BLE001  a user's code
            failures.append(FlowError(f"cannot clean up after the Source: {described(error)}"))

    thread = threading.Thread(target=run, name="source-clean-up", daemon=True)
    start_thread(thread)
    thread.join(seconds)
    if failures:
        raise failures[0]
    return not thread.is_alive()
