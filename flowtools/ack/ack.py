"""What flow-ack does: acknowledge, or refuse, every event that is read."""

from typing import Protocol

from flowtools.ack.sender import AckError, AckSender
from flowtools.core.errors import EventsFailed
from flowtools.core.event import EventError, NotAnEvent, parse
from flowtools.core.lines import TooLong
from flowtools.core.log import get_log

CLOSE_WITHIN = 30.0
"""Seconds that a frozen source has to take the last acknowledgements."""

_log = get_log("flowtools.ack")


class Lines(Protocol):
    """Where lines come from; flowtools.core.lines.LineReader is one."""

    def read(self) -> list[bytes] | None:
        """Return the next lines, or None at the end."""


def acknowledge(lines: Lines, *, refuse: bool) -> None:
    """Tell the source of each line's event that it is done, or refused.

    Raises:
        EventsFailed: A line has no ackto, or its source is gone.
    """
    sender = AckSender()
    tell = sender.nack if refuse else sender.ack
    number = failed = 0
    try:
        while (block := lines.read()) is not None:
            for line in block:
                number += 1
                try:
                    tell(_ackto(line))
                except (AckError, EventError) as error:
                    failed += 1
                    _log.error("line %d: %s", number, error)
    finally:
        sender.close(CLOSE_WITHIN)
    failed += sender.lost
    if failed:
        raise EventsFailed(f"{failed} of {number} events were not acknowledged")


def _ackto(line: bytes) -> str:
    if isinstance(line, TooLong):
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
