"""What becomes of events that a listener leaves unacknowledged, in words for its messages.

A queue delivers them again, and so does a durable subscription. Viz One publishes on a topic, which
keeps nothing: only a listener with a state file asks for them at its next start, and one that
replays changes (--since) asks for them while it runs. A message must not promise more than that.
"""

from typing import NamedTuple

from flowtools.stomp.terms import Terms
from flowtools.stomp.url import is_topic


class Again(NamedTuple):
    """What becomes of unacknowledged events; each text goes on after "... events".

    Attributes:
        after_a_session: When the listener goes on with another session.
        after_the_end: When the listener has ended.
    """

    after_a_session: str
    after_the_end: str


KEPT = Again("will be delivered again", "will be delivered again")


def of_broker(terms: Terms) -> Again:
    """Return what becomes of the events of a subscription on these terms."""
    asked = dict(terms.url.parameters) | dict(terms.headers)
    is_durable = terms.durable is not None or any(
        "durable" in name or "subscriptionName" in name for name in asked
    )
    if is_topic(terms.destination) and not is_durable:
        lost = f"may be lost: '{terms.destination}' keeps nothing without --durable"
        return Again(lost, lost)
    if not terms.destination.startswith("/"):
        # A plain name is a queue on ActiveMQ, and a topic on Artemis if it does not exist yet.
        unsure = f" if '{terms.destination}' is a queue"
        return Again(KEPT.after_a_session + unsure, KEPT.after_the_end + unsure)
    return KEPT


def of_viz_one(*, replays: bool, has_state: bool) -> Again:
    """Return what becomes of the events of a listener of Viz One.

    Args:
        replays: Whether it asks for missed changes when a session begins.
        has_state: Whether it keeps its position for the next start.
    """
    lost = "may be lost: Viz One delivers nothing again without --state"
    return Again(
        KEPT.after_a_session if replays else lost, KEPT.after_the_end if has_state else lost
    )
