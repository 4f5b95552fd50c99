"""Waiting for descriptors, and for a Wake rung by another thread."""

import socket
import threading
from pathlib import Path

from flowtools.core.wait import Wake, wait
from flowtools.source.vizone.lookup import Lookup
from flowtools.source.vizone.settling import Settling
from flowtools.vizone.account import Account
from tests.running import SECONDS, until


def wakes():
    """The number of open eventfds."""
    return sum(_what(fd) == "anon_inode:[eventfd]" for fd in Path("/proc/self/fd").iterdir())


def _what(fd):
    try:
        return str(fd.readlink())
    except FileNotFoundError:  # Without the descriptor of the listing itself.
        return ""


def test_wait_returns_the_writable_descriptor():
    full, other = socket.socketpair()
    free, another = socket.socketpair()
    with full, other, free, another:
        full.setblocking(False)
        try:
            while True:
                full.send(b"x" * 65536)
        except BlockingIOError:
            assert wait(writable=full, seconds=0) == set()
        assert wait(other, writable=[full, free], seconds=0) == {other.fileno(), free.fileno()}
        assert wait(writable=[], seconds=0) == set()


def test_a_wake_stays_readable_until_cleared():
    wake = Wake()
    wake.clear()
    assert not wake.wait(0)
    wake.ring()
    wake.ring()
    assert wake.wait(None)
    wake.clear()
    assert not wake.wait(0)
    wake.close()
    wake.close()


def test_a_wake_is_closed_with_its_last_reference():
    before = wakes()
    wake = Wake()
    may_ring = threading.Event()

    def ring_late(wake):
        may_ring.wait(SECONDS)
        wake.ring()

    thread = threading.Thread(target=ring_late, args=(wake,))
    thread.start()
    del wake
    assert wakes() == before + 1
    may_ring.set()
    thread.join()
    until(lambda: wakes() == before)


def test_a_closed_stage_leaves_no_descriptor():
    account = Account("http://127.0.0.1:1", "u", "p")
    before = wakes()
    for _ in range(3):
        for stage in (Lookup(account, None), Settling(account, 1.0, None)):
            stage.start()
            stage.close()
    del stage
    until(lambda: wakes() == before)
