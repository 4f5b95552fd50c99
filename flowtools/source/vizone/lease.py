"""A lease in Viz One's own store for programs, which decides which of several listeners works.

The stored value names the holder and has a counter. The holder increases the counter every RENEW
seconds. The others read the value, and take the lease once the counter has not moved for TERM
seconds by their own clock. So the machines' clocks need not agree.

To take the lease, a listener writes the value, pauses, and reads it back: if several wrote at once,
the last one has the lease. The holder reads before it renews, and so notices another holder. It
stops writing events before its term can have ended for the others: TERM minus SAFETY after the
start of its last successful renewal. All these times include the time in which a machine sleeps.

Two holders at once only cause duplicate events: both keep their progress in the same store, and
neither moves it past an event that is not done.

One thread renews; `acquire` starts it, `release` ends and joins it.
"""

import logging
import os
import random
import secrets
import socket
import time
from threading import Thread

from flowtools.core.errors import FlowError
from flowtools.core.event import Event
from flowtools.core.lines import LineWriter
from flowtools.core.log import get_log
from flowtools.core.outlet import Outlet
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, Wake, wait
from flowtools.process.vitals import vitals
from flowtools.source.vizone.stored import ANSWER, APPLICATION
from flowtools.vizone.account import Account
from flowtools.vizone.client import Client

TERM = 15.0
"""Seconds without a renewal after which others take the lease."""

RENEW = 5.0
"""Seconds between two renewals."""

SAFETY = 2.0
"""Seconds before the end of the term at which the holder stops."""

LOOK = 1.0
"""Seconds between two reads by a listener that waits."""

SETTLE = 1.0
"""Seconds between writing the value and reading it back, while others may write too."""

_log = get_log("flowtools.source.vizone.lease")


class LeaseLost(FlowError):
    """Another listener works now, or may do so at any moment."""


def now() -> float:
    """Return the seconds since the machine was started, including those in which it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """The lease `name`; one thread calls its methods, any thread asks whether it is held.

    Attributes:
        lost: Set when the lease has been lost.
    """

    def __init__(self, account: Account, name: str) -> None:
        """Prepare to wait for the lease, or to hold it, with the login of `account`."""
        self.name = name
        self.lost = Wake()
        self._me = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._client = Client(account, seconds=ANSWER, pauses=())
        self._store = self._client.store(APPLICATION)
        self._key = f"lease.{name}"
        self._until = 0.0
        self._counter = 0
        self._has_looked = False
        self._ending = Stop()
        self._thread: Thread | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lease now."""
        return now() < self._until

    def check(self) -> None:
        """Return if this process holds the lease, else raise.

        Raises:
            LeaseLost: This process does not hold the lease.
        """
        if not self.is_held:
            raise LeaseLost(f"the lease '{self.name}' is not ours any more")

    def acquire(self, stop: Stop) -> bool:
        """Wait until the lease is ours (True) or `stop` is set (False).

        Raises:
            FlowError: The store cannot be used. Raised only at the first read: later failures are
                logged, and the store is read again.
        """
        seen: tuple[str, int] | None = None
        since, holder, problem = now(), "", ""
        while not stop.is_set():
            asked = now()
            try:
                found = self._read()
                is_free = found is None or (found == seen and now() - since >= TERM)
                # A read that took long, as on a machine that slept, says nothing about the present.
                if is_free and now() - asked <= 2 * ANSWER and self._take(found, stop):
                    return True
            except FlowError as error:
                if not self._has_looked:
                    raise
                if str(error) != problem:
                    problem = str(error)
                    _log.warning("cannot read the lease '%s': %s", self.name, error)
            else:
                problem = ""
                self._has_looked = True
                if found is not None and found[0] != holder:
                    holder = found[0]
                    vitals.connection = f"stands by; {_shown(holder)} works"
                    _log.warning("waiting: '%s' is held by %s", self.name, _shown(holder))
                if found != seen:
                    seen, since = found, now()
            stop.wait(LOOK)
        return False

    def release(self) -> None:
        """Stop renewing; if the lease is still ours, give it up, so that another can take it."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self.is_held:
            self._until = 0.0
            try:
                self._write("", self._counter + 1)
            except FlowError as error:
                _log.info("cannot give up the lease '%s': %s", self.name, error)

    def close(self) -> None:
        """Release the descriptors and connections; no other method may be called after this."""
        self.release()
        self._client.close()
        self._ending.close()
        self.lost.close()

    def _take(self, found: tuple[str, int] | None, stop: Stop) -> bool:
        self._counter = found[1] + 1 if found is not None else secrets.randbelow(1 << 30)
        began = now()
        self._write(self._me, self._counter)
        # A random pause, so that listeners which start together do not go on in step.
        if stop.wait(SETTLE * random.uniform(1.0, 1.5)):  # noqa: S311  not a secret
            return False
        if self._read() != (self._me, self._counter) or now() - began > TERM - SAFETY:
            return False
        # From before the write: the others cannot have seen it earlier than that.
        self._until = began + TERM - SAFETY
        _log.log(
            logging.WARNING if found is not None else logging.INFO,
            "working: '%s' is ours",
            self.name,
        )
        vitals.connection = ""
        self.lost.clear()
        self._ending.close()
        self._ending = Stop()
        self._thread = Thread(target=self._keep, name="lease", daemon=True)
        start_thread(self._thread)
        return True

    def _keep(self) -> None:
        pause = RENEW
        while not self._ending.wait(pause):
            pause = RENEW
            began = now()
            try:
                found = self._read()
                # Another listener took it while this process was frozen or cut off.
                if found is None or found[0] != self._me:
                    whose = _shown(found[0]) if found is not None and found[0] else "nobody"
                    self._lose(f"it is held by {whose}")
                    return
                self._counter += 1
                self._write(self._me, self._counter)
                self._until = began + TERM - SAFETY
            except FlowError as error:
                _log.warning("cannot renew the lease '%s': %s", self.name, error)
                pause = LOOK  # The term is running: try again soon, and not in RENEW seconds.
            if not self.is_held:
                self._lose("it could not be renewed in time")
                return

    def _lose(self, reason: str) -> None:
        self._until = 0.0
        _log.warning("stopped: '%s' is not ours any more: %s", self.name, reason)
        self.lost.ring()

    def _read(self) -> tuple[str, int] | None:
        """Return the holder of the lease, and the counter; None if nobody holds it."""
        value = self._store.get(self._key)
        try:
            holder, counter = str(value["holder"]), int(value["counter"])
        except (KeyError, TypeError, ValueError):
            return None  # There is no value, or a malformed one, which the next write replaces.
        return (holder, counter) if holder else None

    def _write(self, holder: str, counter: int) -> None:
        self._store.put(self._key, {"holder": holder, "counter": counter})


class Held:
    """A term of the lease: its `stop` is set when the user's is, or when the lease is lost.

    A thread waits for both; `close` ends and joins it.
    """

    def __init__(self, lease: Lease, stop: Stop) -> None:
        """Start the thread."""
        self.stop = Stop()
        self._lease = lease
        self._theirs = stop
        self._ended = Wake()
        self._thread = Thread(target=self._watch, name="lease-lost", daemon=True)
        start_thread(self._thread)

    def close(self) -> None:
        """End the thread and release the descriptors."""
        self._ended.ring()
        self._thread.join()
        self._ended.close()
        self.stop.close()

    def _watch(self) -> None:
        ready = wait(self._theirs, self._lease.lost, self._ended)
        if ready != {self._ended.fileno()}:
            self.stop.set(self._theirs.signum)


class GuardedWriter(LineWriter):
    """A line writer that writes only while the lease is held, even after the process was frozen."""

    def __init__(self, fd: int, lease: Lease) -> None:
        super().__init__(fd)
        self._lease = lease

    def try_flush(self) -> bool:
        """Write as much of the buffer as there is room for; return whether that was all.

        Raises:
            LeaseLost: The lease is not ours any more.
            ReaderGone: The pipe has been closed by its reader.
        """
        self._lease.check()
        return super().try_flush()


class GuardedOutlet:
    """An outlet that hands events on only while the lease is held: for any but a LineWriter."""

    def __init__(self, outlet: Outlet, lease: Lease) -> None:
        """Hand on to `outlet` while `lease` is ours."""
        self._outlet = outlet
        self._lease = lease
        self.fileno = outlet.fileno
        self.unread = outlet.unread
        self.flush = outlet.flush

    def emit(self, event: Event) -> None:
        """Take `event`.

        Raises:
            LeaseLost: The lease is not ours any more.
        """
        self._lease.check()
        self._outlet.emit(event)


def guarded(outlet: Outlet, lease: Lease) -> Outlet:
    """Return an outlet that hands events to `outlet` only while `lease` is held."""
    if isinstance(outlet, LineWriter):
        return GuardedWriter(outlet.fileno(), lease)
    return GuardedOutlet(outlet, lease)


def _shown(holder: str) -> str:
    """Return host and process of a holder, for people."""
    return " process ".join(holder.split(":")[:2])
