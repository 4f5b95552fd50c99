"""What flow-failed does with the events that were selected."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from flowtools.failed.file import FailedLines, key_of
from flowtools.failed.record import Record
from flowtools.failed.selection import Selection


def selected(records: Iterable[Record], selection: Selection) -> Iterator[Record]:
    """Yield those of `records` that are wanted."""
    return islice(filter(selection.matches, records), selection.limit)


def drop(file: FailedLines, selection: Selection, confirm: Callable[[int], bool]) -> int:
    """Take the selected events out of `file` for good; return how many.

    `confirm` is called with their number, and decides. Events that fail meanwhile stay.

    Raises:
        FlowError: The file cannot be read or rewritten.
    """
    keys = Counter(key_of(record) for record in selected(file.records(), selection))
    if not keys or not confirm(keys.total()):
        return 0
    return file.take_out(keys)
