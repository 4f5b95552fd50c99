"""What flow-failed does with the events that were selected."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from flowtools.core.errors import FlowError
from flowtools.failed.file import FailedLines, key_of
from flowtools.failed.grouping import grouped
from flowtools.failed.record import Record
from flowtools.failed.selection import Selection

Action = Literal["summary", "list", "show"]


@dataclass(frozen=True)
class Look:
    """How to show events.

    Attributes:
        action: A table of reasons, a line for each event, or all of each event.
        as_json: Write JSON lines instead of text.
    """

    action: Action = "summary"
    as_json: bool = False


def selected(records: Iterable[Record], selection: Selection) -> Iterator[Record]:
    """Yield those of `records` that are wanted."""
    return islice(filter(selection.matches, records), selection.limit)


def look(records: Iterable[Record], how: Look) -> None:
    """Show `records` on standard output.

    Raises:
        FlowError: With "show", there is no such event; or nothing can be written.
        ReaderGone: The reader of standard output has closed the pipe.
    """
    from flowtools.failed.show import Screen  # rich is slow to import.

    screen = Screen(as_json=how.as_json)
    if how.action == "summary":
        screen.groups(grouped(records))
    elif how.action == "list":
        screen.list(records)
    else:
        found = list(records)
        if not found:
            raise FlowError("there is no such event")
        screen.whole(found)


def look_at_joblog(path: Path, *, as_json: bool) -> None:
    """Show what the job log at `path` says about its run.

    Raises:
        FlowError: It cannot be read, or is not a job log.
        ReaderGone: The reader of standard output has closed the pipe.
    """
    from flowtools.failed.joblog import summarize
    from flowtools.failed.overview import as_json as as_object
    from flowtools.failed.overview import show_tables
    from flowtools.failed.show import Screen

    summary = summarize(path)
    screen = Screen(as_json=as_json)
    if as_json:
        screen.json(as_object(summary))
    else:
        show_tables(summary, screen)


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
