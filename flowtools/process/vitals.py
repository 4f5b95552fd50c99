"""The figures of a running command, for metrics, flow-status, SIGUSR1 and systemd.

A process has one `vitals` object. The part of the command that knows a figure provides a function
that reads it; a part that shows the figures takes a `snapshot`. So a source knows nothing of
Prometheus, and the metrics nothing of STOMP. The functions are called in threads other than their
owner's: that of the status socket, and those of HTTP requests. So each may only read and must never
wait, because it would hold up every figure.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal, NamedTuple

from flowtools.core.text import counted


class Figure(NamedTuple):
    """One figure that a command may provide.

    Attributes:
        kind: "counter" if it only grows, "gauge" if it goes up and down.
        help: A sentence that describes it.
    """

    kind: Literal["counter", "gauge"]
    help: str


FIGURES = {
    "connected": Figure("gauge", "1 while connected to the broker or server, 0 while not."),
    "reconnects": Figure("counter", "Number of connections after the first one."),
    "received": Figure("counter", "Messages received from the broker or server."),
    "events_in": Figure("counter", "Event lines read."),
    "events_out": Figure("counter", "Event lines written."),
    "done": Figure("counter", "Events that are done."),
    "failed": Figure("counter", "Events that failed permanently."),
    "rejected": Figure("counter", "Events or messages that were rejected."),
    "in_flight": Figure("gauge", "Events or messages taken and not yet settled."),
    "oldest_seconds": Figure("gauge", "Age of the oldest event or message in flight."),
    "lag_seconds": Figure(
        "gauge", "Time since the oldest event in flight happened, by its own time."
    ),
    "stuck": Figure("gauge", "Threads that are stuck in the Worker beyond its time-out."),
    "wedged": Figure("gauge", "1 while at least as many threads are stuck as the pool has."),
    "stalled_seconds": Figure(
        "gauge", "Seconds in which a full window has settled nothing; 0 below 60."
    ),
    "paused": Figure("gauge", "1 while the pool waits for the server behind its Worker."),
    "copied": Figure("counter", "Events settled by more than one reader of copied lines."),
    "is_holder": Figure("gauge", "1 on the listener that works, 0 on one that stands by."),
}
"""All figures, by name. The name of a metric is `flowtools_` and the name (metrics.py)."""

RATE_SPAN = 60.0
"""Seconds over which a rate is measured."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of a command at one moment; flow-status adds which command it is.

    Attributes:
        figures: The value of each figure that the command provides.
        about: A short description of the command: the Worker's name, the destination.
        connection: The state of its connection in words; empty if it has none.
        rate: Events per second over the last RATE_SPAN seconds.
        last_event: Seconds since the last event came; None before the first.
        last_error: The last warning or error; empty if there was none.
        last_error_age: Seconds since the last warning or error; None if there was none.
        up: Seconds since the command was started.
    """

    figures: dict[str, float] = field(default_factory=dict)
    about: str = ""
    connection: str = ""
    rate: float = 0.0
    last_event: float | None = None
    last_error: str = ""
    last_error_age: float | None = None
    up: float = 0.0

    def trouble(self) -> str:
        """Return what is wrong, in a few words; an empty text if the command is well."""
        # A listener that stands by is not connected on purpose.
        if self.figures.get("connected") == 0 and self.figures.get("is_holder") != 0:
            return f"not connected: {self.connection}" if self.connection else "not connected"
        stalled = self.figures.get("stalled_seconds", 0)
        if stalled:
            return f"stalled: nothing settled for {stalled:.0f} s while the window is full"
        if self.figures.get("wedged"):
            stuck = counted(int(self.figures.get("stuck", 0)), "thread", "hangs", "hang")
            return f"wedged: {stuck} in the Worker beyond its time-out"
        if self.figures.get("paused"):
            return "paused: the server behind the Worker is down"
        return ""


class Vitals:
    """The figures of this process. Any thread may call any method.

    Attributes:
        about: A short description of the command.
        connection: The state of its connection in words.
    """

    def __init__(self) -> None:
        self.about = ""
        self.connection = ""
        self._readers: dict[str, Callable[[], float | None]] = {}
        self._lock = Lock()
        self._began = time.monotonic()
        self._marks: list[tuple[float, float]] = []
        self._last_change: float | None = None
        self._read_moment: Callable[[], float | None] | None = None
        self._error = ("", 0.0)

    def provide(self, name: str, read: Callable[[], float | None]) -> None:
        """Provide the figure `name`, one of FIGURES; `read` returns None for no value now."""
        assert name in FIGURES, name
        with self._lock:
            self._readers[name] = read

    def provide_moment(self, read: Callable[[], float | None]) -> None:
        """Provide when the last event came (`time.monotonic`); `read` returns None before that.

        Without it, the moment of an event is that of the sample that notices it.
        """
        self._read_moment = read

    @contextmanager
    def providing(
        self,
        *,
        moment: Callable[[], float | None] | None = None,
        **readers: Callable[[], float | None],
    ) -> Iterator[None]:
        """Provide figures while the block runs; for `moment` see `provide_moment`."""
        if moment is not None:
            self.provide_moment(moment)
        for name, read in readers.items():
            self.provide(name, read)
        try:
            yield
        finally:
            with self._lock:
                for name in readers:
                    self._readers.pop(name, None)
            if moment is not None:
                self._read_moment = None

    def note_error(self, text: str) -> None:
        """Remember a warning or an error that was logged."""
        self._error = (text, time.monotonic())  # One assignment: readers need no lock.

    def sample(self) -> None:
        """Store the number of events so far; called every few seconds, for the rate."""
        now, events = time.monotonic(), self._events()
        with self._lock:
            if (self._marks and events != self._marks[-1][1]) or (not self._marks and events):
                self._last_change = now
            self._marks.append((now, events))
            # The first mark stays the last one before the span, so that the rate covers all of it.
            while len(self._marks) > 2 and self._marks[1][0] <= now - RATE_SPAN:
                self._marks.pop(0)

    def snapshot(self) -> Snapshot:
        """Return the current state."""
        self.sample()
        read_moment = self._read_moment
        moment = None if read_moment is None else read_moment()
        now = time.monotonic()
        with self._lock:
            (since, before), (until, events) = self._marks[0], self._marks[-1]
            changed = self._last_change if read_moment is None else moment
        text, said = self._error
        return Snapshot(
            figures=self._figures(),
            about=self.about,
            connection=self.connection,
            rate=(events - before) / (until - since) if until > since else 0.0,
            last_event=None if changed is None else now - changed,
            last_error=text,
            last_error_age=now - said if text else None,
            up=now - self._began,
        )

    def _figures(self) -> dict[str, float]:
        with self._lock:
            readers = dict(self._readers)
        # Outside the lock: a function may take a lock of its owner.
        found = {name: read() for name, read in readers.items()}
        return {name: float(value) for name, value in found.items() if value is not None}

    def _events(self) -> float:
        """Return the number of events handled: the first group of figures that is provided."""
        with self._lock:
            # What is settled counts before what was only read or received. An event that has
            # failed came, too: a Worker that fails for all of them is not silent.
            groups = (("done", "failed"), ("events_out",), ("events_in",), ("received",))
            names = next((each for each in groups if each[0] in self._readers), ())
            readers = [self._readers[name] for name in names if name in self._readers]
        return float(sum(read() or 0 for read in readers))


vitals = Vitals()
"""The figures of this process."""


def as_dict(snapshot: Snapshot) -> dict[str, Any]:
    """Return a snapshot as a JSON object, with times in seconds, rounded to milliseconds."""
    made = {name: getattr(snapshot, name) for name in Snapshot.__dataclass_fields__}
    for name in ("rate", "last_event", "last_error_age", "up"):
        if made[name] is not None:
            made[name] = round(made[name], 3)
    return made


def in_a_line(command: str, snapshot: Snapshot) -> str:
    """Return the state of `command` as one line for people."""
    figures = snapshot.figures
    said = [snapshot.trouble() or snapshot.connection or "well", f"{snapshot.rate:.1f} events/s"]
    if "in_flight" in figures:
        said.append(f"{figures['in_flight']:g} in flight")
    if figures.get("oldest_seconds"):
        said.append(f"the oldest for {figures['oldest_seconds']:.0f} s")
    failed = figures.get("failed", figures.get("rejected"))
    if failed:
        said.append(f"{failed:g} failed")
    about = f"{command} {snapshot.about}" if snapshot.about else command
    return f"{about}: {', '.join(said)}"
