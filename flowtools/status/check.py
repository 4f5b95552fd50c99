"""Compare running commands with the limits of a monitoring system."""

from dataclasses import dataclass

from flowtools.core.text import counted
from flowtools.status.asking import State


@dataclass(frozen=True)
class Limits:
    """The limits within which a command counts as healthy.

    Attributes:
        max_lag: Maximum age of an event in flight, in seconds, since it was taken and, by its own
            time, since it happened; None: no limit.
        max_silence: Maximum number of seconds since the last event, or since the start if there
            was none; None: no limit.
    """

    max_lag: float | None = None
    max_silence: float | None = None


def trouble_of(state: State, limits: Limits) -> str:
    """Return what is wrong with a command, in a few words; empty if it is healthy."""
    if not state.answers:
        return "does not answer"
    if trouble := state.trouble():
        return trouble
    # `wedged` is only true when all threads of a pool are stuck; a monitoring system wants to hear
    # of the first.
    if stuck := int(state.figures.get("stuck", 0)):
        return (
            f"stuck: {counted(stuck, 'thread', 'hangs', 'hang')} in the Worker beyond its time-out"
        )
    if limits.max_lag is not None:
        oldest = state.figures.get("oldest_seconds", 0.0)
        if oldest > limits.max_lag:
            return f"lag: the oldest event in flight was taken {oldest:.0f} s ago"
        lag = state.figures.get("lag_seconds", 0.0)
        if lag > limits.max_lag:
            return f"lag: the oldest event in flight happened {lag:.0f} s ago"
    silence = state.up if state.last_event is None else state.last_event
    if limits.max_silence is not None and silence > limits.max_silence:
        return f"silent: no event for {silence:.0f} s"
    return ""
