"""An event that is made of another one: what flow-work and flow-jq write for a value."""

from typing import Any

from flowtools.core.event import Event, digest

TRACE = ("traceparent", "tracestate")
"""Extension attributes that every result of an event keeps: CloudEvents' extension for distributed
tracing, whose values are those of the headers of that name (W3C Trace Context)."""


def result_of(event: Event, value: Any, index: int, *, source: str, type: str) -> Event:
    """Return the result number `index` (from 0) of `event`, with `value` as its data.

    Its id is made of the `source` and the `id` of `event`, which together are its identity
    (CloudEvents 1.0, section 3.1.1), and of `index`: the same event gives the same ids again, and
    two events of different sources never give the same.
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
    """Give `made` the trace of `event`, where it has none of its own; return it."""
    given = event.attributes
    if "traceparent" in given and "traceparent" not in made.attributes:
        made.attributes |= {name: given[name] for name in TRACE if given.get(name) is not None}
    return made
