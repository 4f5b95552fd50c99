"""The Worker for flow-run; in a module of its own, so that flow-work does not load a source."""

from benchmarks.pool.workers import Noop
from flowtools.source.local import STDIN


class NoopOfStdin(Noop):
    """Does nothing, with the lines of standard input as its source."""

    SOURCE = STDIN
