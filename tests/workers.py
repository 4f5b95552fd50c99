"""Workers that behave as users' do, well and badly; for tests that start flow-work."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from flowtools.event import Event
from flowtools.worker import Reject, Retry


def note(text):
    """Append a line to the file that NOTES names, in one write."""
    with Path(os.environ["NOTES"]).open("ab", buffering=0) as file:
        file.write(f"{text}\n".encode())


class Nop:
    def start(self, event):
        pass


class Note:
    """Notes its life and each event's data."""

    def configure(self, config):
        note("configure " + config.get("note", "word", fallback="-"))

    def start(self, event):
        note(event.data)

    def clean_up(self):
        note("clean_up")


class Meet:
    """Notes each event's key, and waits until as many as MEET says have been noted, in all."""

    def start(self, event):
        note(event["key"])
        until = time.monotonic() + 30
        while len(Path(os.environ["NOTES"]).read_text().split()) < int(os.environ["MEET"]):
            assert time.monotonic() < until
            time.sleep(0.005)


class Echo:
    def start(self, event):
        return event


class Upper:
    """A value for a text, a generator for a number, nothing for anything else."""

    def start(self, event):
        if isinstance(event.data, str):
            return event.data.upper()
        if isinstance(event.data, int):
            return (n for n in range(event.data))
        return None


class Big:
    def start(self, event):
        return [event.data] * 3000


class Whatever:
    """Does what the event's data says."""

    def start(self, event):
        verb, *args = event.data if isinstance(event.data, list) else [event.data]
        return getattr(self, verb)(event, *args)

    def ok(self, event, text=""):
        note(f"ok {text}")

    def sleep(self, event, seconds=1000):
        note("sleep")
        time.sleep(seconds)

    def spin(self, event):
        note("spin")
        while True:
            pass

    def recv(self, event):
        near, far = socket.socketpair()
        note("recv")
        with near, far:
            near.recv(1)

    def stubborn(self, event):
        """Swallow the exception raised by the pool, and return as if nothing had happened."""
        note("stubborn")
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            note("swallowed")

    def polite(self, event):
        note("polite")
        while not event.cancelled():
            time.sleep(0.01)
        note("stopped politely")
        return "half a result"

    def fail(self, event, text="no"):
        raise ValueError(text)

    def interrupt(self, event):
        raise KeyboardInterrupt

    def reject(self, event):
        raise Reject("bad event")

    def retry(self, event, after=0.0):
        note("retry")
        raise Retry("later", after=after)

    def segfault(self, event):
        ctypes.string_at(0)

    def vanish(self, event):
        os._exit(3)

    def exit(self, event):
        sys.exit("enough")

    def nan(self, event):
        return float("nan")

    def print(self, event, text):
        print(text)
        subprocess.run(["echo", "from a child"], check=True)
        os.write(1, b"straight to descriptor 1\n")

    def terminate(self, event):
        """Start a program and terminate it."""
        note("terminate")
        with subprocess.Popen(["sleep", "1000"]) as program:
            program.terminate()
            try:
                note(f"ended by {signal.Signals(-program.wait(10)).name}")
            finally:
                program.kill()

    def event(self, event):
        return Event("mine", {"x": 1}, source="test", id="new", subject="s")

    def pid(self, event):
        note(f"pid {os.getpid()}")


class StartsSlowly(Whatever):
    """Takes longer to configure than an event may take."""

    def configure(self, config):
        time.sleep(2.0)


class FailsTwice:
    """Each event succeeds at its third attempt."""

    def configure(self, config):
        self.seen = {}

    def start(self, event):
        count = self.seen[event.id] = self.seen.get(event.id, 0) + 1
        note(f"{event.data} {count}")
        if count < 3:
            raise OSError("not yet")


class BadConfigure:
    def configure(self, config):
        raise KeyError("host")

    def start(self, event):
        pass


class BadCleanUp:
    def start(self, event):
        pass

    def clean_up(self):
        raise OSError("cannot close")


class PoisonNine:
    """Rejects every tenth event, and takes a moment for the others."""

    def start(self, event):
        if event["n"] % 10 == 9:
            raise Reject(f"{event['n']} is not wanted")
        time.sleep(0.02)
