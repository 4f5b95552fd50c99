"""The line that -vv logs for each attempt: its outcome, its duration, and its wait before."""

import logging

from flowtools.core.log import get_log
from flowtools.pool.outcome import Attempt
from flowtools.pool.tally import duration

_log = get_log("flowtools.work")


def are_wanted() -> bool:
    """Return whether each attempt is to be logged (-vv)."""
    return _log.is_enabled_for(logging.DEBUG)


class Details:
    """Logs a line for each attempt; safe from any thread."""

    def record(self, attempt: Attempt) -> None:
        """Log how `attempt` has ended."""
        event = attempt.event
        name = f"line {attempt.number}" if event is None else event.subject or event.id
        _log.debug(
            "'%s': attempt %d: %s in %s, after %s in the queue%s",
            *(name, attempt.attempt, attempt.outcome, duration(attempt.ran)),
            *(duration(attempt.queued), "" if attempt.final else "; it is tried again"),
        )
