# ruff: noqa: PLE0307  an exception without a text is what this is about
"""A Worker that does what hurts: each method of Hostile is one way; `start` calls the one named."""

import atexit
import re
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from flowtools.worker import Reject, Retry, TimeLimit


class StrRaises(Exception):
    def __str__(self):
        raise KeyError("no body")


class StrExits(Exception):
    def __str__(self):
        sys.exit(3)


class StrHangs(Exception):
    def __str__(self):
        while True:
            time.sleep(0.01)


class StrIsNone(Exception):
    def __str__(self):
        return None


class StrRaisesItself(Exception):
    def __str__(self):
        raise self


class EvilClass(Exception):
    @property
    def __class__(self):
        raise ValueError("no class")


class EvilNotes(Exception):
    __notes__ = 7


class EvilRetry(Retry):
    def __init__(self):
        self.after = "soon"


class Hostile:
    def start(self, event):
        way = event.data if isinstance(event.data, str) else event["way"]
        return getattr(self, way)(event)

    def ok(self, event):
        return "ok"

    def str_raises(self, event):
        raise StrRaises

    def str_exits(self, event):
        raise StrExits

    def str_hangs(self, event):
        raise StrHangs

    def str_is_none(self, event):
        raise StrIsNone

    def str_raises_itself(self, event):
        raise StrRaisesItself

    def cause_has_no_text(self, event):
        raise ValueError("above") from StrRaises()

    def member_has_no_text(self, event):
        raise ExceptionGroup("two", [StrExits(), ValueError("x")])

    def evil_class(self, event):
        raise EvilClass

    def evil_notes(self, event):
        raise EvilNotes

    def evil_retry(self, event):
        raise EvilRetry

    def retry_text(self, event):
        raise Retry("later", after="0.001")

    def retry_timedelta(self, event):
        raise Retry("later", after=timedelta(milliseconds=1))

    def retry_infinite(self, event):
        raise Retry(after=float("inf"))

    def retry_junk(self, event):
        raise Retry(after=[30])

    def exits(self, event):
        sys.exit(5)

    def interrupts_itself(self, event):
        raise KeyboardInterrupt

    def limits_itself(self, event):
        raise TimeLimit

    def changes_its_data(self, event):
        """A list as data: tells what it is, and adds to it."""
        event.attributes["data"]["seen"] += 1
        seen, source, time = event["seen"], event.source, event.time
        with Path("seen").open("a") as file:
            file.write(f"{seen} {source} {time}\n")
        raise ValueError("again")

    def takes_the_id(self, event):
        del event.attributes["id"]
        raise ValueError("gone")

    def takes_everything(self, event):
        event.attributes.clear()
        raise ValueError("gone")

    def replaces_attributes(self, event):
        event.attributes = None
        raise ValueError("gone")

    def takes_the_id_and_returns(self, event):
        event.attributes.clear()
        return "result"

    def returns_what_is_not_json(self, event):
        return object()

    def yields_and_raises(self, event):
        yield "a line that is not written"
        raise ValueError("later")

    def says_much(self, event):
        raise ValueError("y" * 20_000_000)

    def rejects_with_much(self, event):
        raise Reject("y" * 20_000_000)

    def retries_with_much(self, event):
        raise Retry("y\n" * 10_000_000, after=0.001)

    def causes_say_much(self, event):
        raise ValueError("y" * 1_000_000) from KeyError("z" * 1_000_000)

    def group_says_much(self, event):
        raise ExceptionGroup("g", [ValueError("y" * 20_000) for _ in range(1000)])

    def tells_why(self, event):
        error = ValueError("the end")
        error.add_note("the note")
        raise error from OSError("the cause")

    def tells_of_all(self, event):
        raise ExceptionGroup("several", [ValueError("first"), KeyError("second")])

    def program_fails(self, event):
        subprocess.run(["sh", "-c", "echo why >&2; exit 3"], check=True, capture_output=True)

    def starts_programs(self, event):
        """Two that wait, one in a session of its own, each with the event's own length."""
        script = "sleep $0 & setsid sleep $0 & (sleep $0; true)"
        subprocess.run(["sh", "-c", script, event.subject])

    def leaves_a_program(self, event):
        subprocess.Popen(["sleep", event.subject])

    def pauses(self, event):
        time.sleep(0.1)

    def holds_the_interpreter(self, event):
        Path("begun").touch()
        re.match(r"(a+)+$", "a" * 60 + "b")

    def hangs(self, event):
        time.sleep(1000)


class ConfigureHangs(Hostile):
    def configure(self, config):
        Path("begun").touch()
        time.sleep(1000)


class CleanUpHangs(Hostile):
    def clean_up(self):
        Path("begun").touch()
        time.sleep(1000)


class PrintsAtTheEnd(Hostile):
    """Prints when Python forgets it, and when the process ends."""

    def configure(self, config):
        atexit.register(print, "printed by atexit")

    def __del__(self):
        print("printed by __del__")
