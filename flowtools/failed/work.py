"""Dropping failed events, after asking for confirmation."""

from collections import Counter
from collections.abc import Callable

from flowtools.failed.selection import Selection
from flowtools.failed.store import Failed


def drop(failed: Failed, selection: Selection, confirm: Callable[[int], bool]) -> int:
    """Remove the selected events permanently; return how many.

    Args:
        failed: The events of a store.
        selection: The events to remove.
        confirm: Called with their number; returns whether to remove them.

    Raises:
        FlowError: The events cannot be read or removed.
    """
    # The keys are taken before the question, so events that fail meanwhile stay.
    keys = Counter(failed.key_of(record) for record in selection.select(failed.records()))
    if not keys or not confirm(keys.total()):
        return 0
    return failed.take_out(keys)
