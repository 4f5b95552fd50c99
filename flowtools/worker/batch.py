"""The events of a batch: the argument of a Worker's `start_many(events)`.

The pool makes one `Events` object for each attempt at a batch. While the attempt runs, any thread
of the Worker may fail single events. When the pool settles the batch, it calls `end`; a later call
of `fail` raises an error, because the outcomes are final. A time-out cancels the batch and each of
its events at once, so that a Worker may look at either.
"""

from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Any, Protocol, TypeGuard, overload

from flowtools.core.event import Event


class Events(Sequence[Event]):
    """The events of one batch, in the order in which they came.

    Attributes:
        deadline: When the attempt times out, in seconds of `time.monotonic()`. Every event of the
            batch has the same deadline. Infinity without a time-out.
    """

    def __init__(
        self,
        events: Iterable[Event],
        on_failure: Callable[[int, BaseException | str], None],
        deadline: float = inf,
    ) -> None:
        """Make a batch of `events`.

        Args:
            events: The events; no object may occur twice.
            on_failure: Called for each event that `fail` is called for, with its place in the batch
                and the reason.
            deadline: Deadline of the batch and of each of its events.
        """
        self._events = tuple(events)
        # By identity: events are not hashable, and two events of a batch may be equal.
        self._places = {id(event): place for place, event in enumerate(self._events)}
        self._on_failure = on_failure
        self._has_ended = False
        self.deadline = deadline
        for event in self._events:
            event.deadline = deadline

    def __len__(self) -> int:
        return len(self._events)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return self._events[place]

    def __repr__(self) -> str:
        return f"<Events {list(self._events)!r}>"

    def fail(self, event: Event, error: BaseException | type[BaseException] | str) -> None:
        """Fail one event of the batch and leave the others alone; any thread may call.

        The last call for an event counts.

        Args:
            event: One of this batch; the object itself, not a copy.
            error: The reason: an exception, its class, or text. Retry and Reject have the same
                effect as when they are raised.

        Raises:
            ValueError: The event is not of this batch.
            TypeError: `error` is neither an exception nor text.
            RuntimeError: `start_many` has returned, or its time is up.
        """
        place = self._places.get(id(event))
        if place is None:
            raise ValueError(f"{event!r} is not an event of this batch")
        # `fail(event, Retry)` means the same as `raise Retry`.
        if is_exception_class(error):
            error = error()
        if not isinstance(error, BaseException | str):
            raise TypeError(f"an event fails with an exception or with text, not with {error!r}")
        # A thread that the Worker left behind must not change an outcome that is settled.
        if self._has_ended:
            raise RuntimeError("the batch has ended: its events cannot be failed any more")
        self._on_failure(place, error)

    def cancelled(self) -> bool:
        """Return True once the result is no longer wanted: time-out, or the pool stops."""
        return monotonic() >= self.deadline

    def cancel(self) -> None:
        """Make `cancelled()` true, of each event too; called by the pool, from any thread."""
        self.deadline = -inf
        for event in self._events:
            event.cancel()

    def end(self) -> None:
        """Refuse further calls of `fail`; called by the pool when it settles the batch."""
        self._has_ended = True


def is_exception_class(value: object) -> TypeGuard[type[BaseException]]:
    """Return whether `value` is the class of an exception, not an exception."""
    return isinstance(value, type) and issubclass(value, BaseException)


class BatchWorker(Protocol):
    """The method that the pool calls on a Worker that takes batches."""

    def start_many(self, events: Events) -> Any:
        """Do the work for several events at once, in a thread of the pool.

        Return None when all events are done, except those that `events.fail` was called for.
        Otherwise return one result for each event, in the order of the events: either what `start`
        would have returned, or an exception or its class, which fails that event. Raising an
        exception fails all events of the batch.
        """
