# ruff: noqa: PLE0307  an exception without a text is what this is about
"""A hostile Worker: each method of Hostile is one way to do harm; `start` calls the one named."""

import atexit
import ctypes
import gc
import logging
import logging.config
import os
import re
import signal
import subprocess
import sys
import threading
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


def raise_in_flowtools(frame, event, argument):
    """A trace or profile function that fails in code outside the Worker."""
    if frame.f_code.co_filename != __file__:
        raise ValueError("traced")


def spoil(module):
    """Trace and profile with it: this thread (`sys`), or those that start (`threading`)."""
    module.settrace(raise_in_flowtools)
    module.setprofile(raise_in_flowtools)


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
        """Prints its data, a list, and appends to it."""
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
        """Starts two sleeping programs, one in its own session, for the time in the event."""
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

    def raises(self, event):
        raise ValueError("no")

    def hangs_for_a_while(self, event):
        """Hangs longer than time-out and grace together, but not forever."""
        time.sleep(0.2)

    def loops(self, event):
        while True:
            time.sleep(0.001)

    # Harm to its own process

    def segfaults(self, event):
        ctypes.string_at(0)

    def leaves_at_once(self, event):
        os._exit(5)

    def kills_itself(self, event):
        os.kill(os.getpid(), signal.SIGKILL)

    def stops_itself(self, event):
        os.kill(os.getpid(), signal.SIGSTOP)

    def forks_and_raises(self, event):
        """Forks; the copy of the process returns from `start`, too, and both raise."""
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        raise ValueError("forked")

    def forks_and_returns(self, event):
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            raise ValueError("forked")
        return "of the copy"

    def leaves_a_trace(self, event):
        sys.settrace(raise_in_flowtools)
        raise ValueError("no")

    def leaves_a_profile(self, event):
        sys.setprofile(raise_in_flowtools)
        raise ValueError("no")

    def leaves_both_and_hangs(self, event):
        spoil(sys)
        self.hangs(event)

    def leaves_a_trace_for_all(self, event):
        spoil(threading)
        raise ValueError("no")

    def traces_all_and_hangs(self, event):
        spoil(threading)
        self.hangs(event)

    def reads_the_input(self, event):
        raise ValueError(f"read {sys.stdin.read()!r}")

    def goes_elsewhere(self, event):
        os.chdir("/")
        raise ValueError("no")

    def clears_the_environment(self, event):
        os.environ.clear()
        raise ValueError("no")

    def never_ends_its_recursion(self, event):
        return self.never_ends_its_recursion(event)

    def wants_all_memory(self, event):
        return bytearray(1 << 62)

    def returns_itself_within_itself(self, event):
        circle = []
        circle.append(circle)
        return circle

    def leaves_a_thread_that_raises(self, event):
        each = threading.Thread(target=lambda: 1 / 0)
        each.start()
        each.join()
        raise ValueError("no")

    def floods_stderr(self, event):
        for _ in range(2_000):
            sys.stderr.write("y" * 1000 + "\n")
        raise ValueError("no")

    def stops_the_collector(self, event):
        gc.disable()
        gc.set_threshold(1)
        raise ValueError("no")

    # Attempts to silence the command

    def configures_logging(self, event):
        logging.config.dictConfig({"version": 1})
        raise ValueError("no")

    def disables_logging(self, event):
        logging.disable(logging.CRITICAL)
        raise ValueError("no")

    def takes_the_handlers(self, event):
        logging.root.handlers = []
        logging.getLogger("flowtools").handlers = []
        raise ValueError("no")

    def sets_a_level(self, event):
        logging.getLogger("flowtools").setLevel(1000)
        raise ValueError("no")

    def breaks_the_records(self, event):
        logging.setLogRecordFactory(lambda *a, **k: 1 / 0)
        raise ValueError("no")

    def shuts_logging_down(self, event):
        logging.shutdown()
        raise ValueError("no")

    def logs_elsewhere(self, event):
        logging.basicConfig(force=True, filename="elsewhere")
        raise ValueError("no")

    def closes_its_streams(self, event):
        sys.stderr = sys.stdout = None
        raise ValueError("no")

    def closes_descriptors(self, event):
        os.closerange(1, 3)
        raise ValueError("no")

    def patches_logging(self, event):
        logging.Logger.log = logging.Logger.warning = lambda *a, **k: None
        raise ValueError("no")


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


class ForksInConfigure:
    """Forks in `configure` and `clean_up`; both copies of the process return."""

    def configure(self, config):
        os.fork()

    def start(self, event):
        return "of one"

    def clean_up(self):
        os.fork()


class LeavesATraceInConfigure:
    def configure(self, config):
        spoil(sys)

    def start(self, event):
        return "traced"

    def clean_up(self):
        self.configure(None)
