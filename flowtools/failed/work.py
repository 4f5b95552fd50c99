"""Remove failed events, after asking for confirmation."""

from collections import Counter
from collections.abc import Callable

from flowtools.failed.selection import Selection
from flowtools.failed.store import Failed


def drop(failed: Failed, selection: Selection, confirm: Callable[[int], bool]) -> int:
    """Take the selected events out of `failed` for good; return how many.

    `confirm` is called with their number, and decides. Events that fail meanwhile stay.

    Raises:
        FlowError: They cannot be read or taken out.
    """
    keys = Counter(failed.key_of(record) for record in selection.select(failed.records()))
    if not keys or not confirm(keys.total()):
        return 0
    return failed.take_out(keys)
