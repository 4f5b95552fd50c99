"""Locked: work on one identity, one at a time, within this process."""

import threading
from contextlib import suppress
from typing import Self

from flowtools.core.described import Described

_WAIT = 0.1
"""Seconds between two looks at whether this thread has been asked to end."""


class _Lock:
    """The lock of one key, kept while somebody has it or waits for it."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.owner: int | None = None
        self.depth = 0
        self.users = 0


_locks: dict[object, _Lock] = {}
_guard = threading.Lock()


class Locked(Described):
    """Hold the lock of a key for the length of a `with` block.

        with Locked(event.subject):
            ...

    Threads that give the same (an equal) key wait for one another, in no promised order.
    The thread that has a lock may take it again. Other processes know nothing of it; that
    is what etags are for. A key that nobody uses takes no memory. A Worker whose time is
    up while it waits stops waiting.
    """

    FACTS = ("_key",)

    def __init__(self, key: object) -> None:
        """Prepare to lock `key`, which can be hashed."""
        self._key = key
        self._lock: _Lock | None = None

    def __enter__(self) -> Self:
        if self._lock is not None:
            raise RuntimeError("this Locked is in use; make one for each `with`")
        with _guard:
            lock = self._lock = _locks.setdefault(self._key, _Lock())
            lock.users += 1
        me = threading.get_ident()
        if lock.owner == me:
            lock.depth += 1
            return self
        try:
            # Not for ever: the pool's TimeLimit reaches a thread between two bytecodes only.
            while not lock.lock.acquire(timeout=_WAIT):
                pass
            lock.owner, lock.depth = me, 1
        except BaseException:
            # It may have come right after the lock was ours; if not, this cannot release it.
            lock.owner = None if lock.owner == me else lock.owner
            with suppress(RuntimeError):
                lock.lock.release()
            self._leave(lock)
            raise
        return self

    def __exit__(self, *error: object) -> None:
        lock = self._lock
        assert lock is not None
        lock.depth -= 1
        if lock.depth == 0:
            lock.owner = None
            lock.lock.release()
        self._leave(lock)

    def _leave(self, lock: _Lock) -> None:
        self._lock = None
        with _guard:
            lock.users -= 1
            if lock.users == 0:
                _locks.pop(self._key, None)
