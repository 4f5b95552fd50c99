"""One batch: several events in one attempt, and what the Worker says of each.

A Worker with `start_many` gets batches. All of its code runs inside the attempt here, as that of
`start` does: the call itself, iterating what it returned, the text of the exceptions with which
it fails single events. What comes out is an answer for each event, lines or a Failure, in the
thread of the pool and in a process alike.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from flowtools.core.event import Event, ReadEvent
from flowtools.core.log import About
from flowtools.core.text import cut
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.results import ResultError
from flowtools.worker.batch import Events
from flowtools.worker.description import one_line
from flowtools.worker.exceptions import TimeLimit

Answer = list[bytes] | Failure
"""What became of one event: the lines that the Worker returned for it, or why it failed."""


class Flight(Protocol):
    """An event, as the pool keeps it: flowtools.pool.inflight.InFlight is one."""

    event: Event

    @property
    def label(self) -> str:
        """What to call it."""


F = TypeVar("F", bound=Flight)


class Batch(Generic[F]):
    """The events that one call of `start_many` gets.

    Attributes:
        flights: They, as the pool keeps them.
        events: They, as the Worker gets them.
        failures: Why those failed that the Worker has failed one by one, by their place.
        left: The places of those that are not settled.
    """

    def __init__(
        self,
        flights: list[F],
        deadline: float = inf,
        failure: Callable[[BaseException], Failure] = Failure.of,
    ) -> None:
        """Make a batch of `flights`; `failure` makes what an exception says."""
        self.flights = flights
        self.failures: dict[int, Failure] = {}
        self.left = deque(range(len(flights)))
        self._failure = failure
        # The pool needs the attributes afterwards, whatever the Worker does to its own.
        copies = (ReadEvent.of(each.event.attributes.copy()) for each in flights)
        self.events = Events(copies, self._fail, deadline)

    def _fail(self, place: int, error: BaseException | str) -> None:
        self.failures[place] = failed(error, self._failure)

    @property
    def label(self) -> str:
        """What to call the batch in a message."""
        return and_more(self.flights[0].label, len(self.flights))

    def whole(self, failure: Failure, place: int) -> Failure:
        """Return why the event at `place` failed, where the batch has failed with `failure`."""
        count = len(self.flights)
        own = self.failures.get(place)
        if own is not None or count == 1:
            return own or failure
        text = f"{failure.text} (with a batch of {count} events)"
        # One traceback is enough for all.
        return failure._replace(text=text, traceback=None if place else failure.traceback)


def failed(
    error: BaseException | str, failure: Callable[[BaseException], Failure] = Failure.of
) -> Failure:
    """Return what `error` says, with which a Worker fails an event; may run the Worker's code."""
    if isinstance(error, str):
        return Failure(Outcome.FAILED, cut(one_line(error)) or "failed by the Worker")
    return failure(error)


def and_more(label: str, count: int) -> str:
    """Return what to call `count` events of which the first has `label`."""
    return label if count == 1 else f"{label} and {count - 1} more"


def about_all(events: Events, attempt: int = 1) -> About:
    """Return what to say of an attempt with several events: nobody knows which one it is at."""
    attributes = events[0].attributes
    attributes = attributes if isinstance(attributes, dict) else {}
    identity, subject = str(attributes.get("id", "?")), attributes.get("subject")
    if len(events) == 1:
        return About(identity, None if subject is None else str(subject), attempt)
    return About(identity, and_more(str(subject or identity), len(events)), attempt)


def run_batch(
    start_many: Callable[[Events], Any],
    events: Events,
    failures: Mapping[int, Failure],
    lines: Callable[[Event, Any], list[bytes]],
    failure: Callable[[BaseException], Failure],
) -> list[Answer]:
    """Run `start_many` to its end; return what became of each event.

    Args:
        start_many: The Worker's.
        events: What it gets.
        failures: Those that it fails one by one while it runs, by their place.
        lines: Makes lines of what it returned for an event.
        failure: Makes what an exception says.

    Raises:
        BaseException: What it raised, which fails all of them; or ResultError, where what it
            returned is not one result for each.
    """
    results = _results(start_many(events), len(events))
    found: list[Answer] = []
    for place, event in enumerate(events):
        given = results[place] if results is not None else None
        if place in failures:
            found.append(failures[place])
        elif isinstance(given, BaseException):
            found.append(failure(given))
        else:
            found.append(_lines(event, given, lines, failure))
    return found


def _lines(
    event: Event,
    given: Any,
    lines: Callable[[Event, Any], list[bytes]],
    failure: Callable[[BaseException], Failure],
) -> Answer:
    if given is None:
        return []
    try:
        return lines(event, given)
    except TimeLimit:
        raise
    except BaseException as error:  # noqa: BLE001  it is the Worker's, and fails this event alone
        return failure(error)


def _results(returned: Any, count: int) -> list[Any] | None:
    """Return the result of each of `count` events; None: they have none.

    Raises:
        ResultError: There is not one for each. The work was done: no other attempt helps.
    """
    if returned is None:
        return None
    no_sequence = (str, bytes, bytearray, Mapping, AbstractSet, Event)
    if isinstance(returned, no_sequence) or not isinstance(returned, Iterable):
        raise ResultError(
            f"start_many returned {type(returned).__name__}: expected None, or a sequence with"
            f" one result for each of its {count} events"
        )
    results = list(islice(returned, count + 1))
    if len(results) != count:
        given = "more" if len(results) > count else str(len(results))
        raise ResultError(
            f"start_many returned {given} results for {count} events: expected None, or one for"
            " each"
        )
    return results
