"""Results: events made of another event, as flow-work and flow-jq write them for a value."""

from typing import Any

from flowtools.core.event import Event, digest

TRACE = ("traceparent", "tracestate")
"""Extension attributes that a result takes over from its event: CloudEvents' extension for
distributed tracing, with the values of the HTTP headers of these names (W3C Trace Context)."""


def result_of(event: Event, value: Any, index: int, *, source: str, type: str) -> Event:
    """Return the result number `index` (from 0) of `event`, with `value` as its data.

    The id of the result is made of `index` and of the event's `source` and `id`, which together
    identify it (CloudEvents 1.0, section 3.1.1). So the same event gives the same ids again, and
    events of different sources never give the same id.
    """
    made = Event(
        type,
        value,
        source=source,
        id=f"{digest(event.source, event.id)}/{index}",
        subject=event.subject,
    )
    return traced(made, event)


def traced(made: Event, event: Event) -> Event:
    """Give `made` the trace of `event`, unless it has one of its own; return `made`."""
    given = event.attributes
    # Both or neither: a tracestate belongs to its traceparent (W3C Trace Context).
    if "traceparent" in given and "traceparent" not in made.attributes:
        made.attributes |= {name: given[name] for name in TRACE if given.get(name) is not None}
    return made
