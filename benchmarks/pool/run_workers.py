"""The Worker that flow-run runs in the benchmarks; apart, so that flow-work loads no source."""

from benchmarks.pool.workers import Noop
from flowtools.source.local import STDIN


class NoopOfStdin(Noop):
    """Does nothing with the lines of standard input."""

    SOURCE = STDIN
