"""The work of flow-ack: acknowledge, or reject, every event that is read.

The main thread reads the lines and gives each verdict to an AckSender, whose thread sends it. A
line that cannot be acknowledged fails alone. If the command is stopped early, it ends without
`bye`, so that the sources deliver again what is still unread in the pipe.
"""

from typing import Protocol

from flowtools.ack.records import AckError, Reason
from flowtools.ack.sender import AckSender
from flowtools.core.errors import EventsFailed
from flowtools.core.event import EventError, NotAnEvent, parse
from flowtools.core.log import get_log
from flowtools.core.text import counted
from flowtools.core.toolong import TooLong
from flowtools.core.wait import Stop
from flowtools.process.vitals import vitals

CLOSE_WITHIN = 30.0
"""Seconds that a frozen source has to take the last acknowledgements."""

_log = get_log("flowtools.ack")


class Lines(Protocol):
    """A source of lines, such as flowtools.core.lines.LineReader."""

    def read(self) -> list[bytes] | None:
        """Return the next lines, or None at the end."""


def acknowledge(
    lines: Lines,
    *,
    refuse: bool,
    error: str | None = None,
    sender: AckSender | None = None,
    stop: Stop | None = None,
) -> None:
    """Tell the source of each line's event that it is done, or rejected.

    Args:
        lines: The event lines.
        refuse: Whether to reject the events instead of acknowledging them.
        error: The reason to give for a rejection.
        sender: Sends the acknowledgements, and is closed here.
        stop: Ends the input early. The sources then deliver again what is not settled.

    Raises:
        EventsFailed: A line has no ackto, or its source is gone.
    """
    sender = sender or AckSender()
    reason = Reason.here(error, 1, "flow-ack") if error is not None else None
    number = failed = settled = 0
    vitals.provide("events_in", lambda: number)
    vitals.provide("rejected" if refuse else "done", lambda: settled)
    vitals.provide("failed", lambda: failed)
    at_end = False
    try:
        while (block := lines.read()) is not None:
            for line in block:
                number += 1
                try:
                    ackto = _ackto(line)
                    if refuse:
                        sender.nack(ackto, reason)
                    else:
                        sender.ack(ackto)
                    settled += 1
                except (AckError, EventError) as problem:
                    failed += 1
                    _log.error("line %d: %s", number, problem)
        at_end = stop is None or not stop.is_set()
    finally:
        sender.close(CLOSE_WITHIN, bye=at_end)
    failed += sender.lost  # Complete only now: the sender counts what it cannot deliver at the end.
    if failed:
        raise EventsFailed(
            f"{failed} of {counted(number, 'event', 'was', 'were')} not acknowledged"
        )


def _ackto(line: bytes) -> str:
    if isinstance(line, TooLong):  # Our commands write `ackto` last, where it survives the cut.
        if line.ackto is None:
            raise EventError("it is longer than a line may be")
        return line.ackto
    try:
        ackto = parse(line).attributes.get("ackto")
    except NotAnEvent:
        ackto = None
    if ackto is None:
        raise AckError("it has no ackto; does its source run with --ack worker?")
    return ackto  # type: ignore[no-any-return]
