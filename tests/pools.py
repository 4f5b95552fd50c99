"""A pool in this process, fed through a real pipe."""

import os
import threading

import orjson

from flowtools.core.lines import LineWriter
from flowtools.core.wait import Stop
from flowtools.errors import FlowError, ReaderGone
from flowtools.pool.runner import ThreadRunner
from flowtools.pool.settings import Settings
from flowtools.pool.work import Input, Parts, Work
from tests.running import SECONDS


class Log:
    """A recorder that keeps every attempt."""

    def __init__(self):
        self.attempts = []

    def record(self, attempt):
        self.attempts.append(attempt)

    def outcomes(self):
        return sorted((a.number, a.attempt, a.outcome, a.final) for a in self.attempts)


class Call:
    """A Worker that calls a function."""

    def __init__(self, function):
        self.start = function


class Running:
    """A pool in a thread of its own, fed through a real pipe."""

    reads = True

    def __init__(self, function, parts=None, acks=None, **settings):
        self.log = Log()
        self.stop = Stop()
        reader, self.writer = os.pipe()
        self.out, out = os.pipe()
        self.work = Work(
            Settings(**settings),
            Input(reader, self.stop, acks),
            LineWriter(out),
            lambda: ThreadRunner(Call(function)),
            parts or Parts(recorders=[self.log]),
        )
        self.result = self.error = None
        self.taken = []

        def run():
            try:
                self.result = self.work.run()
            except (FlowError, ReaderGone) as error:
                self.error = error
            finally:
                os.close(reader)
                os.close(out)

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        self.reader = threading.Thread(target=self.take_results, daemon=True)

    def take_results(self):
        with open(self.out, "rb", closefd=False) as file:
            self.taken += file

    def feed(self, *values):
        os.write(self.writer, b"".join(orjson.dumps(value) + b"\n" for value in values))

    def close(self):
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None

    def end(self):
        """Close the input, wait for the end, and return the totals."""
        if self.reads and not self.reader.ident:
            self.reader.start()
        self.close()
        self.thread.join(SECONDS)
        assert not self.thread.is_alive(), "the pool did not end"
        if self.reads:
            self.reader.join(SECONDS)
        return None if self.result is None else {k: v for k, v in self.result.items() if v}

    def printed(self):
        return [orjson.loads(line) for line in self.taken]
