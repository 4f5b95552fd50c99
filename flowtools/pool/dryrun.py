"""--dry-run: shows what would be done with each line, without running the Worker.

It reads the input in the main thread. There is no pool, nothing is acknowledged, and no file is
written. The Worker has been made before, so that its errors are found as well.
"""

from collections import Counter

from flowtools.core.event import EventError, NotAnEvent, parse
from flowtools.core.lines import LineReader
from flowtools.core.log import get_log
from flowtools.core.seen import Wrapper
from flowtools.core.text import counted
from flowtools.core.wait import Stop
from flowtools.pool.intake import SOURCE
from flowtools.pool.outcome import Outcome
from flowtools.pool.settings import Choice, Known
from flowtools.process.console import say

log = get_log("flowtools.work")


def dry_run(choice: Choice, done: Known, stop: Stop) -> Counter[str]:
    """Read all lines of standard input, and log what would be done with each.

    Args:
        choice: The options.
        done: The events that are done already.
        stop: Ends the reading early.

    Raises:
        FlowError: The input cannot be read.
    """
    wrapper = Wrapper(SOURCE)
    totals: Counter[str] = Counter()
    reader = LineReader(0, stop, max_line=choice.max_line)
    number = 0
    while (block := reader.read()) is not None:
        for line in block:
            number += 1
            if line.strip():
                totals[_would(choice, line, number, done, wrapper)] += 1
    say(
        f"would run {counted(totals[Outcome.DONE], 'event')} on {choice.worker} with"
        f" {counted(choice.pool.threads, 'thread')};"
        f" {counted(totals[Outcome.SKIPPED], 'event', 'is', 'are')} done already,"
        f" {counted(totals[Outcome.INVALID], 'line', 'is not an event', 'are not events')}"
    )
    return totals


def _would(choice: Choice, line: bytes, number: int, done: Known, wrapper: Wrapper) -> Outcome:
    try:
        event = parse(line)
    except NotAnEvent as other:
        event = wrapper.event(other.value, line, number)
    except EventError as error:
        log.error("line %d is not an event: %s", number, error)
        return Outcome.INVALID
    if event in done:
        return Outcome.SKIPPED
    key = choice.pool.key(event) if choice.pool.key else None
    log.info(
        "line %d: would run %s '%s'%s",
        number,
        event.type,
        event.subject or event.id,
        f" after others of key '{key}'" if key is not None else "",
    )
    return Outcome.DONE
