"""Locked: a lock for each key, so that threads of this process work on one asset in turn.

The table of locks holds a key only while some thread has its lock or waits for it, so that memory
does not grow with the number of keys ever used. `_guard` protects the table and the count of users;
the lock of a key protects its `owner` and `depth`.

The pool may raise TimeLimit in a thread at any moment: while it waits, or just after it has got the
lock. So waiting is done in short steps, and a thread that is interrupted leaves nothing behind.
"""

import threading
from contextlib import suppress
from typing import Self

from flowtools.core.described import Described

_WAIT = 0.1
"""Maximum length of one wait, in seconds. An exception that the pool raises in a thread reaches it
only between two waits."""


class _Lock:
    """The lock of one key.

    Attributes:
        lock: The lock itself.
        owner: Identifier of the thread that has the lock; None if no thread has it.
        depth: How many `with` blocks of that thread are open.
        users: Number of `with` blocks that have the lock or wait for it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.owner: int | None = None
        self.depth = 0
        self.users = 0


_locks: dict[object, _Lock] = {}
_guard = threading.Lock()


class Locked(Described):
    """A context manager that holds the lock of a key.

        with Locked(event.subject):
            ...

    Threads with equal keys wait for one another; the order in which they get the lock is not
    defined. A thread may lock a key again that it has locked. Other processes are not excluded: use
    etags for that (see `retry_on_conflict`). A key takes no memory while nobody uses it. A Worker
    whose time is up while it waits stops waiting.
    """

    FACTS = ("_key",)

    def __init__(self, key: object) -> None:
        """Prepare to lock `key`, any hashable object."""
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
            # In short steps: Python raises the pool's TimeLimit in a thread only between two
            # bytecodes, so it would never reach a thread that waits without end.
            while not lock.lock.acquire(timeout=_WAIT):
                pass
            lock.owner, lock.depth = me, 1
        except BaseException:
            # The exception may have come right after this thread got the lock. If it did not get
            # it, `release` raises RuntimeError and changes nothing.
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
