"""Signals: SIGTERM and SIGINT ask a command to stop, and at its end it dies by that same signal.

Python runs a handler between two bytecodes of the main thread. While C code holds the interpreter,
such as an endless regular expression, no handler runs at all. So the kernel is told to call each
handler only once (SA_RESETHAND, sigaction(2)): a second SIGTERM or SIGINT ends the process,
whatever it is doing.

Some senders send one request twice: timeout(1) signals its child, and then its process group. So
for TOGETHER seconds after the first signal another handler ignores further ones. Between the
kernel's reset and that handler are some ten microseconds, in which a second signal still kills.
"""

import ctypes
import os
import signal
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from flowtools.core.errors import FlowError, ReaderGone
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop, wait

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

TOGETHER = 0.2
"""Seconds within which several signals are the same request."""


class Signalled(Exception):
    """Raised when the command has drained and the process has to end by the signal it got."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """Yield a Stop that the first SIGTERM or SIGINT sets; one after TOGETHER seconds kills at once.

    A signal that was ignored when the command started stays ignored. So nohup(1), and a shell's
    `&` without job control, protect a command from such signals.

    Raises:
        Signalled: The block has ended after a signal; a FlowError or ReaderGone that the block
            raised is its cause.
    """
    stop = Stop()
    failure: FlowError | ReaderGone | None = None

    def handle(signum: int, frame: FrameType | None) -> None:
        # The kernel has reset only this signal. The other one has the same effect from now on.
        for each in previous:
            signal.signal(each, lambda signum, frame: None)
        stop.set(signum)

    previous = {each: signal.getsignal(each) for each in _SIGNALS}
    previous = {each: how for each, how in previous.items() if how is not signal.SIG_IGN}
    for each in previous:
        signal.signal(each, handle)
        _serve_once(each)
    try:
        with _heard_by_the_main_thread(stop, tuple(previous)):
            yield stop
    except (FlowError, ReaderGone) as error:
        if stop.signum is None:
            raise
        failure = error
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        signum = stop.signum
        stop.close()
    if signum is not None:
        raise Signalled(signum) from failure


def survive_sigusr1() -> None:
    """Let SIGUSR1 do nothing until the status socket answers it, and once that is closed.

    By default it would kill a command that is still starting or has nearly ended, and one such as
    flow-status that does not answer it. A handler, since a child process would inherit SIG_IGN.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, lambda signum, frame: None)


class _SigAction(ctypes.Structure):
    """`struct sigaction` of glibc and musl, except on MIPS and s390."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


_SA_RESETHAND = 0x80000000 - (1 << 32)
"""From bits/sigaction.h, as a signed integer."""

_SA_KNOWN = 0x08000000 | 0x04000000 | 0x10000000
"""SA_ONSTACK, SA_RESTORER, SA_RESTART: the flags that CPython and the C library may have set."""


def _kill_from_now_on(signums: Iterable[int]) -> None:
    """Give signals their default effect. Unlike `signal.signal`, any thread may call this."""
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal.restype = ctypes.c_void_p
    for each in signums:
        libc.signal(each, None)


def _serve_once(signum: int) -> None:
    """Let the kernel reset `signum` to its default when its handler is called.

    Does nothing if the structure does not look as expected, on another kind of machine.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    action = _SigAction()
    if libc.sigaction(signum, None, ctypes.byref(action)) or action.flags & ~_SA_KNOWN:
        return
    action.flags |= _SA_RESETHAND
    libc.sigaction(signum, ctypes.byref(action), None)


@contextmanager
def _heard_by_the_main_thread(stop: Stop, signums: Collection[int]) -> Iterator[None]:
    """Make each signal's handler run at once, whichever thread the kernel interrupts.

    TOGETHER seconds after one of `signums` has set `stop`, each of them gets its default effect.

    Python runs handlers in the main thread. If the kernel interrupts another thread, poll(2) in
    the main thread continues, and the handler has to wait. Linux does that after SIGSTOP, a signal
    and SIGCONT: the first thread that wakes gets the signal. So a thread learns of every signal
    from the wake-up descriptor and interrupts the main thread with SIGURG, which is ignored by
    default and therefore free.
    """
    main = threading.get_ident()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writer, False)

    def pass_on() -> None:
        kill_at: float | None = None
        while True:
            if not wait(reader, seconds=None if kill_at is None else kill_at - time.monotonic()):
                # Not before the handler has run: it would put its successor in place afterwards.
                is_handled = stop.signum is not None
                kill_at = None if is_handled else time.monotonic() + TOGETHER
                if is_handled:
                    _kill_from_now_on(signums)
                continue
            heard = set(os.read(reader, 64))
            if 0 in heard:  # Not a signal; it ends the thread.
                return
            if heard != {signal.SIGURG}:  # Answering this one, too, would never end.
                signal.pthread_kill(main, signal.SIGURG)
            if kill_at is None and not heard.isdisjoint(signums):
                kill_at = time.monotonic() + TOGETHER

    thread = threading.Thread(target=pass_on, name="signals", daemon=True)
    urgent = signal.signal(signal.SIGURG, lambda signum, frame: None)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    start_thread(thread)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.write(writer, b"\0")  # Closing would not end the read: a child may hold the pipe, too.
        thread.join()
        os.close(writer)
        os.close(reader)
        signal.signal(signal.SIGURG, urgent)


def end_at_once(signum: int) -> NoReturn:
    """End this process by a signal that has set the Stop before; any thread may call this."""
    _kill_from_now_on([signum])
    os.kill(os.getpid(), signum)
    # Reached only if the kernel could not be told to call the handler just once.
    time.sleep(1.0)
    os._exit(128 + signum)


def end_by(signum: int) -> None:
    """End this process by `signum`, so that its parent sees the signal and not an exit status."""
    signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signum})
    os.kill(os.getpid(), signum)
