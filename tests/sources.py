"""Sources that behave as users' do, well and badly; for tests that start flow-source."""

import os
import sys
import threading
import time
from pathlib import Path

from flowtools.errors import UnreachableError
from flowtools.event import Event, EventError


def note(text):
    """Append a line to the file that NOTES names, in one write."""
    with Path(os.environ["NOTES"]).open("ab", buffering=0) as file:
        file.write(f"{text}\n".encode())


class Three:
    def __iter__(self):
        yield {"n": 1}
        yield None
        yield Event("mine", 2, source="test", id="two", subject="s")
        print("hello")
        yield "3"


class Life:
    """Notes its life."""

    def configure(self, config):
        note("configure " + config.get("note", "word", fallback="-"))

    def run(self, emit):
        emit("a")
        emit("b")

    def done(self, event, ok):
        note(f"done {event.data} {ok}")

    def clean_up(self):
        note("clean_up")


class Raises:
    def __iter__(self):
        yield 1
        raise ValueError("broken")


class Unreachable:
    def run(self, emit):
        raise UnreachableError("cannot reach 'elsewhere'")


class Exits:
    def run(self, emit):
        sys.exit("enough")


class Garbage:
    def __iter__(self):
        yield from (1, object(), float("nan"), "\ud800", 2)


class EmitsGarbage:
    def run(self, emit):
        try:
            emit({1, 2j})
        except EventError as error:
            emit(str(error)[:26])
        emit(object())


class Sleeps:
    """Gives one value and then hangs."""

    def __iter__(self):
        yield 1
        note("sleeps")
        time.sleep(1000)


class Polite:
    """Ends at its stop, with a last value."""

    def __init__(self):
        self.ending = threading.Event()

    def __iter__(self):
        yield "first"
        self.ending.wait()
        yield "last"

    def stop(self):
        self.ending.set()

    def clean_up(self):
        note("clean_up")


class Flood:
    """Gives values without end; notes how many were written."""

    def __init__(self):
        self.written = 0

    def __iter__(self):
        while True:
            yield {"pad": "x" * 1000}

    def done(self, event, ok):
        self.written += 1
        if self.written % 10 == 0:
            note(self.written)


class Many:
    """Four threads that give 250 values each."""

    def run(self, emit):
        threads = [threading.Thread(target=self.give, args=(emit, n)) for n in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def give(self, emit, thread):
        for number in range(250):
            emit([thread, number])

    def done(self, event, ok):
        note(f"{event.data[0]}.{event.data[1]} {ok}")


class BadCleanUp:
    def __iter__(self):
        yield 1

    def clean_up(self):
        raise OSError("cannot close")


class BadConfigure:
    def configure(self, config):
        raise KeyError("host")

    def __iter__(self):
        yield 1


class NoSource:
    pass


def hang():
    """Never return, whatever is raised here: the worst case."""
    while True:
        try:
            time.sleep(1000)
        except BaseException:
            continue


class Silent:
    """Gives one value, notes it, and then neither emits nor reacts."""

    def run(self, emit):
        emit(1)
        note("silent")
        hang()
