"""--metrics: the pool's figures for Prometheus, over HTTP.

`serve` starts the server's threads (one that accepts, one for each request, all of them
daemons), `close` ends the first.
"""

import os
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from flowtools.core.errors import ConfigurationError, UsageError
from flowtools.pool.outcome import Attempt, Outcome
from flowtools.pool.tally import Snapshot

BUCKETS = (0.001, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800)
"""Bounds of the histogram in seconds: from a look-up to the transfer of a long film."""

_ADDRESS = re.compile(r"(?:\[([0-9a-fA-F:.%a-z]+)\]|([^:\[\]]+)):([0-9]{1,5})")


class Metrics:
    """Counts attempts, and serves the counts and the pool's state. Safe from any thread.

    Attributes:
        port: Where it serves, once it does.
    """

    port: int | None = None

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._events = Counter(
            "flowtools_events",
            "Events that have ended, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self._attempts = Counter(
            "flowtools_attempts", "Attempts that have ended, by outcome.", ["outcome"],
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "flowtools_run_seconds", "Seconds that an attempt took.", buckets=BUCKETS,
            registry=registry,
        )  # fmt: skip
        self._last = Gauge(
            "flowtools_last_event_timestamp_seconds", "When the last attempt ended.",
            registry=registry,
        )  # fmt: skip
        for outcome in Outcome:
            # From the start, so that the first failure of all is an increase, and alarms.
            self._events.labels(outcome)
            self._attempts.labels(outcome)
        ProcessCollector(registry=registry)

    def record(self, attempt: Attempt) -> None:
        """Take note of an attempt."""
        self._attempts.labels(attempt.outcome).inc()
        if attempt.outcome.ran:
            self._seconds.observe(attempt.ran)
        if attempt.final:
            self._events.labels(attempt.outcome).inc()
        self._last.set(attempt.finished)

    def serve(self, address: str, snapshot: Callable[[], Snapshot]) -> None:
        """Serve at `address`, "HOST:PORT" ("[HOST]:PORT" for IPv6); port 0: any free one.

        Args:
            address: Where.
            snapshot: The pool's state; called at every request, in a thread of its own.

        Raises:
            UsageError: The address has another form.
            ConfigurationError: It cannot be served there: the port is in use, the host is
                not this one.
        """
        found = _ADDRESS.fullmatch(address)
        if not found or int(found[3]) > 65535:
            raise UsageError(f"'{address}' is no address: write HOST:PORT, such as localhost:9464")
        try:
            server, self._thread = start_http_server(
                int(found[3]), found[1] or found[2], self._registry
            )
        except OSError as error:
            raise ConfigurationError(
                f"cannot serve metrics on '{address}': {_reason(error)}"
            ) from None
        self._registry.register(_State(snapshot))
        self._server = server
        self.port = int(server.server_port)

    def close(self) -> None:
        """Serve no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


class _State(Collector):
    """The gauges, all from one look at the pool."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Any]:
        """Yield each gauge."""
        now = self._snapshot()
        longest = max((seconds for _, seconds in now.running), default=0.0)
        yield GaugeMetricFamily("flowtools_running", "Events that run.", value=len(now.running))
        yield GaugeMetricFamily("flowtools_queued", "Events that wait inside.", value=now.queued)
        yield GaugeMetricFamily("flowtools_threads", "Width of the pool.", value=now.threads)
        yield GaugeMetricFamily(
            "flowtools_abandoned_threads", "Threads that are stuck.", value=now.abandoned
        )
        yield GaugeMetricFamily(
            "flowtools_longest_running_seconds", "Age of the oldest running event.", value=longest
        )


def _reason(error: OSError) -> str:
    # socket.gaierror has numbers of its own, negative ones, which are no errno.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error)
