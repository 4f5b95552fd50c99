"""Locked: one thread at a time holds a key, whatever happens to the thread."""

import ctypes
import threading

import pytest

from flowtools.vizone import Locked, locked
from tests.running import SECONDS


class Interrupted(BaseException):
    """Like the pool's TimeLimit, which is raised in a thread from outside."""


def start(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_one_thread_at_a_time_holds_a_key():
    inside, most, done = [], [], []

    def work():
        for _ in range(200):
            with Locked("a" + "b"):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
        done.append(1)

    threads = [start(work) for _ in range(8)]
    for thread in threads:
        thread.join(SECONDS)
    assert (len(done), max(most)) == (8, 1)


def test_keys_are_independent_and_locks_are_reentrant():
    with Locked("a"), Locked("b"), Locked("a"):
        assert set(locked._locks) == {"a", "b"}
    assert locked._locks == {}


def test_memory_does_not_grow_with_the_number_of_keys():
    for number in range(1000):
        with Locked(number):
            assert len(locked._locks) == 1
    assert locked._locks == {}


def test_an_error_inside_the_block_frees_the_key():
    with pytest.raises(KeyError), Locked("a"):
        raise KeyError
    assert locked._locks == {}


def test_a_waiting_thread_can_be_interrupted_and_the_key_stays_usable():
    seen, waiting = [], threading.Event()

    def wait():
        waiting.set()
        try:
            with Locked("a"):
                seen.append("got it")
        except Interrupted:
            seen.append("interrupted")

    with Locked("a"):
        thread = start(wait)
        assert waiting.wait(SECONDS)
        ident = ctypes.c_ulong(thread.ident)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(Interrupted))
        thread.join(SECONDS)
        assert seen == ["interrupted"]
    other = start(wait)
    other.join(SECONDS)
    assert seen == ["interrupted", "got it"]
    assert locked._locks == {}


def test_a_locked_object_cannot_be_entered_while_in_use():
    lock = Locked("a")
    with lock, pytest.raises(RuntimeError, match="in use"), lock:
        pass
    with lock:
        assert "a" in locked._locks
