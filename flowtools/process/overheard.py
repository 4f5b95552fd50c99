"""Turns what user code writes in this process into messages: streams, warnings, lost exceptions.

Each line becomes one message with the event that it belongs to. This module replaces `sys.stdout`,
`sys.stderr` and Python's hooks; ear.py reads what programs and C code write to the descriptors.

Everything here runs in the thread that writes, which tells which attempt it works for: an attempt
has a thread to itself. A thread that a Worker starts has no attempt. An audit hook therefore notes
which attempt has started it (`inherited`).
"""

import io
import logging
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from flowtools.core.log import About, Said, formatted
from flowtools.core.text import MAX_TEXT
from flowtools.process import console
from flowtools.process.console import Whose

_LATE_FLUSH = 0.5
"""Seconds to wait for a reader of stderr while the interpreter ends."""


def hear_line(text: str, about: About | None) -> None:
    """Pass on one line of text."""
    console.hear(Said(logging.INFO, text, about=about, is_ours=False))


class Overheard(io.TextIOBase):
    """Replaces sys.stdout or sys.stderr while user code runs: each line becomes a message.

    An incomplete line is kept until its thread completes it, writes for another attempt, or calls
    `finish`.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int) -> None:
        self._fd = fd
        # By thread. Each thread uses its own entry only, so no lock is needed, and a Worker that is
        # interrupted in the middle of a print cannot leave one locked.
        self._unfinished: dict[int, tuple[About | None, str]] = {}
        self.buffer = _Bytes(self)

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return False: what is written becomes messages."""
        return False

    def fileno(self) -> int:
        """Return the descriptor of the stream; what is written to it becomes messages, too."""
        return self._fd

    def write(self, text: str) -> int:
        """Pass on the complete lines of `text`; keep an incomplete one."""
        me, about = threading.get_ident(), console.whose()
        before, rest = self._unfinished.pop(me, (about, ""))
        # The thread has begun another attempt: the text before belongs to the earlier one.
        if rest and before != about:
            hear_line(rest, before)
            rest = ""
        *whole, rest = (rest + text).split("\n")
        for line in whole:
            hear_line(line.removesuffix("\r"), about)
        # Text without any newline must not be collected without a bound.
        if len(rest) > MAX_TEXT:
            hear_line(rest, about)
        elif rest:
            self._unfinished[me] = about, rest
        return len(text)

    def finish(self) -> None:
        """Pass on the incomplete line of this thread."""
        if self._unfinished and (left := self._unfinished.pop(threading.get_ident(), None)):
            hear_line(left[1], left[0])

    def finish_all(self) -> None:
        """Pass on the incomplete lines of all threads."""
        # A copy of the threads: one that was left behind may print on, without end.
        for thread in list(self._unfinished):
            if left := self._unfinished.pop(thread, None):
                hear_line(left[1], left[0])


class Late(Overheard):
    """Replaces a stream while the interpreter ends, when user code may still write.

    Such code is in functions of atexit, in `__del__`, and in threads that nobody awaits. Nothing
    flushes the messages after it, so `write` waits until its lines are written.
    """

    def write(self, text: str) -> int:
        """Pass on the complete lines of `text`, and wait a limited time until they are written."""
        length = super().write(text)
        console.flush(_LATE_FLUSH)
        return length

    def flush(self) -> None:
        """Pass on an incomplete line, too; the interpreter calls this at its end."""
        self.finish_all()
        console.flush(_LATE_FLUSH)


class _Bytes(io.RawIOBase):
    """Replaces `sys.stdout.buffer`: takes bytes and passes them on as text."""

    def __init__(self, text: Overheard) -> None:
        self._text = text

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        raw = bytes(data)
        self._text.write(raw.decode("utf-8", "backslashreplace"))
        return len(raw)


class _Inheritance:
    # An audit hook cannot be removed (PEP 578), so it is added once per process.
    is_watched = False
    of: ClassVar[weakref.WeakKeyDictionary[threading.Thread, About]] = weakref.WeakKeyDictionary()


def inherited() -> About | None:
    """Return the attempt that started the calling thread, if one did."""
    return _Inheritance.of.get(threading.current_thread())


def _watch_threads(event: str, arguments: tuple[Any, ...]) -> None:
    """Note for which attempt a thread is started; an audit hook, called in the starting thread.

    Both events are in Python's documentation; their argument is the new thread's function.
    """
    if event in ("_thread.start_new_thread", "_thread.start_joinable_thread"):
        thread = getattr(arguments[0], "__self__", None)
        if isinstance(thread, threading.Thread) and (about := console.whose()) is not None:
            _Inheritance.of[thread] = about


@contextmanager
def overhearing(
    whose: Whose, *, follows_threads: bool = True
) -> Iterator[tuple[Overheard, Overheard]]:
    """Turn what Python writes to stdout and stderr into messages while the block runs.

    A warning, an exception that ends a thread, and one that no code could catch become one message
    each. With `follows_threads`, the attempt that starts a thread is noted (see `inherited`).
    """
    before = sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook
    whose_before = console.attribute_to(whose)
    out, err = Overheard(1), Overheard(2)
    console.listen_to_users()
    if follows_threads and not _Inheritance.is_watched:
        _Inheritance.is_watched = True
        sys.addaudithook(_watch_threads)
    shown = warnings.showwarning
    sys.stdout, sys.stderr = out, err
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable
    warnings.showwarning = _warned
    try:
        yield out, err
    finally:
        for each in (out, err):
            each.finish_all()
        warnings.showwarning = shown
        sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook = before
        console.attribute_to(whose_before)


def overhear_the_end() -> None:
    """Turn what user code writes into messages until the process ends."""
    sys.stdout, sys.stderr = Late(1), Late(2)
    threading.excepthook = _thread_ended
    sys.unraisablehook = _unraisable


def _thread_ended(args: Any) -> None:
    # Python's own hook is silent about SystemExit, too. `is_quiet` marks an exception with which
    # our code ends a thread of the user's.
    name = args.thread.name if args.thread is not None else "?"
    if args.exc_type is not SystemExit and not getattr(args.exc_type, "is_quiet", False):
        _tell(f"the thread '{name}' ended by {args.exc_type.__name__}", args.exc_value)


def _unraisable(args: Any) -> None:
    _tell(args.err_msg or "an exception was ignored", args.exc_value)


def _tell(text: str, error: BaseException | None) -> None:
    traceback = formatted(error) if error is not None else None
    said = Said(logging.ERROR, text, traceback, console.whose(), is_ours=False)
    console.hear(said)


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: Any = None,
    line: str | None = None,
) -> None:
    text = f"{category.__name__}: {message} ({filename}, line {lineno})"
    console.hear(
        Said(logging.WARNING, text, about=console.whose(), logger="py.warnings", is_ours=False)
    )
