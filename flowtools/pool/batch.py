"""One batch: several events in one attempt, and the Worker's answer for each.

A Worker with `start_many` gets batches. All of its code runs inside the attempt, as that of `start`
does: the call itself, the iteration over its results, and the texts of the exceptions with which
it fails single events. So all of it has to end within the time-out. The attempt gives one answer
for each event, lines or a Failure. This holds both in a thread of the pool and in a child process.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from math import inf
from typing import Any, Generic, Protocol, TypeVar

from flowtools.core.event import Event, ReadEvent
from flowtools.core.log import About
from flowtools.core.text import counted, cut
from flowtools.pool.outcome import Failure, Outcome
from flowtools.pool.results import ResultError
from flowtools.worker.batch import Events, is_exception_class
from flowtools.worker.description import one_line
from flowtools.worker.exceptions import TimeLimit

Answer = list[bytes] | Failure
"""The answer for one event: the lines that the Worker returned for it, or a Failure."""


class Flight(Protocol):
    """An event in flight, such as flowtools.pool.inflight.InFlight."""

    event: Event

    @property
    def label(self) -> str:
        """The name of the event in messages."""


F = TypeVar("F", bound=Flight)


class Batch(Generic[F]):
    """The events of one call of `start_many`.

    Attributes:
        flights: The events in flight, as the pool keeps them.
        events: The same events, as the Worker gets them.
        failures: The failures of events that the Worker has failed one by one, by their place.
        left: The places of the events that are not settled.
    """

    def __init__(
        self,
        flights: list[F],
        deadline: float = inf,
        failure: Callable[[BaseException], Failure] = Failure.of,
    ) -> None:
        """Make a batch of `flights`; `failure` turns an exception into a Failure."""
        self.flights = flights
        self.failures: dict[int, Failure] = {}
        self.left = deque(range(len(flights)))
        self._failure = failure
        # Copies: the pool needs the attributes later, whatever the Worker does to its own.
        copies = (ReadEvent.of(each.event.attributes.copy()) for each in flights)
        self.events = Events(copies, self._fail, deadline)

    def _fail(self, place: int, error: BaseException | str) -> None:
        self.failures[place] = failed(error, self._failure)

    @property
    def label(self) -> str:
        """The name of the batch in messages."""
        return and_more(self.flights[0].label, len(self.flights))

    def whole(self, failure: Failure, place: int) -> Failure:
        """Return the failure of the event at `place` in a batch that failed with `failure`."""
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
    """Return the Failure for `error`, with which a Worker fails an event.

    This may run the Worker's code: that of its exception class.
    """
    if isinstance(error, str):
        return Failure(Outcome.FAILED, cut(one_line(error)) or "failed by the Worker")
    return failure(error)


def and_more(label: str, count: int) -> str:
    """Return a name for `count` events, of which the first has `label`."""
    return label if count == 1 else f"{label} and {count - 1} more"


def about_all(events: Events, attempt: int = 1) -> About:
    """Return a description of an attempt with several events, named after the first one."""
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
    """Run `start_many` to its end; return the answer for each event.

    Args:
        start_many: The Worker's method.
        events: The events to give to it.
        failures: The failures of single events, by their place; filled while it runs.
        lines: Makes the lines of what it returned for an event.
        failure: Turns an exception into a Failure.

    Raises:
        BaseException: `start_many` raised it; it fails the whole batch. ResultError: it did not
            return one result for each event.
    """
    results = _results(start_many(events), len(events))
    found: list[Answer] = []
    for place, event in enumerate(events):
        given = results[place] if results is not None else None
        if place in failures:
            found.append(failures[place])  # A call of `events.fail` outranks a result.
        elif isinstance(given, BaseException) or is_exception_class(given):
            found.append(failure(_raised(given)))
        else:
            found.append(_lines(event, given, lines, failure))
    return found


def _raised(given: BaseException | type[BaseException]) -> BaseException:
    """Return the exception that `raise given` would raise."""
    if isinstance(given, BaseException):
        return given
    try:
        return given()
    except TimeLimit:
        raise
    except BaseException as error:  # noqa: BLE001  its constructor is the Worker's code
        return error


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
    """Return the result of each of `count` events; None if they have none.

    Raises:
        ResultError: There is not one result for each event. The work was done, so that another
            attempt does not help.
    """
    if returned is None:
        return None
    # These can be iterated over, but do not hold one result for each event, in order.
    no_sequence = (str, bytes, bytearray, Mapping, AbstractSet, Event)
    if isinstance(returned, no_sequence) or not isinstance(returned, Iterable):
        raise ResultError(
            f"start_many returned {type(returned).__name__}: expected None, or a sequence with"
            f" one result for each of its {count} events"
        )
    # One more than there may be, so that too many are noticed and an endless generator ends.
    results = list(islice(returned, count + 1))
    if len(results) != count:
        given = "more results" if len(results) > count else counted(len(results), "result")
        raise ResultError(
            f"start_many returned {given} for {counted(count, 'event')}: expected None, or one for"
            " each"
        )
    return results
