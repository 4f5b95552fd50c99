"""Turns what programs and C code write to the standard descriptors into messages.

The descriptors lead to pipes, which one thread reads. Each line becomes a message with the event
that runs at the other end of its pipe. A child process that runs a Worker also writes complete
messages (see `Mouth`), which name their event themselves.

The thread must never stop reading: a full pipe would block the program that writes to it.
"""

import json
import os
import select
import threading
from contextlib import suppress

from flowtools.core.log import About, Said
from flowtools.core.pipe import unread
from flowtools.core.threads import start_thread
from flowtools.core.wait import Stop
from flowtools.process import console
from flowtools.process.console import Whose
from flowtools.process.message import bounded
from flowtools.process.overheard import hear_line

BLOCK = 65536


class _Pipe:
    """One pipe that is read."""

    def __init__(self, fd: int, whose: Whose, mark: bytes | None) -> None:
        self.fd = fd
        self.whose = whose
        self.mark = mark
        self.rest = b""
        self.is_held = False

    def read(self) -> int:
        """Read what is available, at most one block; return its size in bytes, 0 if none."""
        about = self.whose()
        try:
            block = os.read(self.fd, BLOCK)
        except BlockingIOError:
            return 0
        *lines, self.rest = (self.rest + block).split(b"\n")
        for line in lines:
            self._hear(line, about)
        if len(self.rest) > BLOCK:
            self.finish()
        return len(block)

    def read_all(self) -> None:
        """Read everything that has been written so far."""
        # Not until the pipe is empty: a program that writes without end would keep the caller, and
        # with it the lock of the ear.
        left = unread(self.fd)
        while left > 0 and (size := self.read()):
            left -= size

    def finish(self) -> None:
        """Pass on an incomplete line."""
        rest, self.rest = self.rest, b""
        if rest:
            self._hear(rest, self.whose())

    def _hear(self, line: bytes, about: About | None) -> None:
        # The mark is random and new in each run, so that no program can write a message in the name
        # of the command.
        if self.mark is not None and self.mark in line:
            before, _, message = line.partition(self.mark)
            if before:
                hear_line(_text(before), about)
            try:
                said = _unpacked(message)
            except (ValueError, TypeError):
                line = message  # Another program has written into the middle of the message.
            else:
                if about is not None and (said.about is None or said.about.event == about.event):
                    said = said._replace(about=about)  # `about` also has the attempt's number.
                console.hear(said)
                return
        hear_line(_text(line), about)


class Ear:
    """Listens to pipes in one thread, which the first pipe starts. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pipes: dict[int, _Pipe] = {}
        self._poller = select.epoll()
        self._thread: threading.Thread | None = None
        self._end = Stop()

    def listen(self, whose: Whose, mark: bytes | None = None) -> tuple[int, int]:
        """Make a pipe; return its name, and the descriptor to write to, which the caller owns.

        Args:
            whose: Returns the attempt that runs at the other end.
            mark: The bytes that begin a message of a Mouth.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self.add(reader, whose, mark)
        return reader, writer

    def add(self, reader: int, whose: Whose, mark: bytes | None = None) -> None:
        """Listen to a pipe, which the ear owns from now on; its descriptor is its name."""
        os.set_blocking(reader, False)
        with self._lock:
            self._pipes[reader] = _Pipe(reader, whose, mark)
            self._poller.register(reader, select.EPOLLIN)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="ear", daemon=True)
                start_thread(self._thread)

    def hold(self, name: int) -> None:
        """Read a pipe only in `hear_out` until `resume`.

        This is for a writer that runs ahead, of which `whose` returns an earlier attempt.
        """
        with self._lock:
            pipe = self._pipes.get(name)
            if pipe is not None and not pipe.is_held:
                pipe.is_held = True
                with suppress(FileNotFoundError):  # Its writers have gone.
                    self._poller.unregister(name)

    def resume(self, name: int) -> None:
        """Read a pipe again after `hold`."""
        with self._lock:
            pipe = self._pipes.get(name)
            if pipe is not None and pipe.is_held:
                pipe.is_held = False
                self._poller.register(name, select.EPOLLIN)

    def hear_out(self, name: int) -> None:
        """Pass on everything that has been written to a pipe so far."""
        with self._lock:
            pipe = self._pipes.get(name)
            if pipe is not None:
                pipe.read_all()

    def leave(self, name: int) -> None:
        """Pass on everything that has been written to a pipe, and stop listening to it."""
        with self._lock:
            pipe = self._pipes.pop(name, None)
            if pipe is None:
                return
            with suppress(FileNotFoundError):
                self._poller.unregister(name)
            pipe.read_all()
            pipe.finish()
            os.close(name)

    def close(self) -> None:
        """End the thread; call `leave` for every pipe first."""
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._poller.close()
        self._end.close()

    def _run(self) -> None:
        self._poller.register(self._end.fileno(), select.EPOLLIN)
        while not self._end.is_set():
            for fd, how in self._poller.poll():
                with self._lock:
                    pipe = self._pipes.get(fd)
                    if pipe is None or pipe.is_held:
                        continue
                    if not pipe.read() and how & select.EPOLLHUP:
                        self._poller.unregister(fd)  # No writer is left; `leave` closes it later.


class Mouth:
    """Writes messages into a pipe to which an Ear of another process listens."""

    def __init__(self, fd: int, mark: bytes) -> None:
        self._fd = fd
        self._mark = mark
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        # In a fork the lock may be held by a thread that does not exist there.
        self._lock = threading.Lock()

    def say(self, said: Said) -> None:
        """Write one message, if possible in one write."""
        packed = json.dumps(bounded(said)).encode()
        view = memoryview(self._mark + packed + b"\n")
        with self._lock:
            while view:
                view = view[os.write(self._fd, view) :]


def _unpacked(message: bytes) -> Said:
    fields = json.loads(message)
    said = Said(*fields)
    return said._replace(about=About(*said.about) if said.about is not None else None)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").removesuffix("\r")
