"""Delayed actions of the stand-in, all carried out by one thread.

`Later.start` starts the thread; `close` ends and joins it, and drops the actions that are not due
yet. Actions must be short: while one runs, the others wait.
"""

import heapq
import itertools
import time
from collections.abc import Callable
from threading import Condition, Thread

from flowtools.core.log import get_log
from flowtools.core.threads import start_thread

MOST = 100_000
"""Maximum number of waiting actions."""

_log = get_log("flowtools.sim")


class Later:
    """Carries out each action when it is due, in the order of their times. Thread-safe."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        # Tells two actions with the same time apart: actions themselves cannot be compared.
        self._counter = itertools.count()
        self._ended = False
        self._thread = Thread(target=self._run, name="sim-later", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        start_thread(self._thread)

    def close(self) -> None:
        """End the thread; waiting actions are dropped."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Carry out `action` after `seconds`.

        Raises:
            OverflowError: MOST actions are waiting already.
        """
        with self._changed:
            if len(self._waiting) >= MOST:
                raise OverflowError(f"more than {MOST} actions are waiting")
            due = time.monotonic() + seconds
            heapq.heappush(self._waiting, (due, next(self._counter), action))
            self._changed.notify()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except Exception:  # noqa: BLE001  the thread serves everybody: it goes on
                _log.exception("a delayed action has failed")

    def _next(self) -> Callable[[], None] | None:
        """Wait for the next action that is due; None at the end."""
        with self._changed:
            while not self._ended:
                pause = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if pause is not None and pause <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(pause)
            return None
