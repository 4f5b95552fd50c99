"""Shows failed events: as a table of reasons, as a list, in full, or as JSON lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import orjson

from flowtools.core.errors import FlowError
from flowtools.core.event import rfc3339
from flowtools.failed.grouping import Group, grouped
from flowtools.failed.record import Record
from flowtools.process.screen import Screen, cut, short_moment

HEADS = ("count", "first", "last", "attempts", "error, as of the last one")

SPARE = ("first", "attempts", "last")
"""Columns that a narrow terminal leaves out, in this order."""


@dataclass(frozen=True)
class Look:
    """How to show events.

    Attributes:
        action: "summary": a table of reasons; "list": a line for each event; "whole": every
            attribute of each event.
        as_json: Whether to write JSON lines instead of text.
    """

    action: Literal["summary", "list", "whole"] = "summary"
    as_json: bool = False


def show(records: Iterable[Record], how: Look) -> None:
    """Show `records` on standard output.

    Raises:
        FlowError: With "whole": there is no event; or standard output cannot be written.
        ReaderGone: The reader of standard output has closed the pipe.
    """
    screen = Screen()
    if how.action == "summary":
        _show_groups(grouped(records), how.as_json, screen)
        return
    found = False
    for record in records:
        if how.as_json:
            # A damaged line would end the program that reads the JSON lines.
            line = record.line if record.is_json else orjson.dumps(record.attributes)
            screen.raw(line + b"\n")
        elif how.action == "list":
            screen.line(_in_one_line(record))
        else:
            if found:
                screen.line("")
            _show_whole(record, screen)
        found = True
    if not found and how.action == "whole":
        raise FlowError("no failed event has this id; --list shows the ids")


def _show_groups(groups: list[Group], as_json: bool, screen: Screen) -> None:
    if as_json:
        for group in groups:
            screen.json(_of_group(group))
    elif groups:
        rows = (
            (str(g.count), short_moment(g.first), short_moment(g.last), _attempts(g), g.example)
            for g in groups
        )
        screen.table(HEADS, rows, right=("count", "attempts"), spare=SPARE)
    else:
        screen.line("no failed events")


def _in_one_line(record: Record) -> str:
    known = (record.type, record.subject, record.id)
    about = (short_moment(record.failed_at), *(each or "-" for each in known))
    return "  ".join((*about, cut(record.error)))


def _show_whole(record: Record, screen: Screen) -> None:
    said = {
        "error": record.error,
        "attempts": "-" if record.attempts is None else str(record.attempts),
        "failed at": "-" if record.failed_at is None else rfc3339(record.failed_at),
        "id": record.id or "-",
        "source": record.source or "-",
        "type": record.type,
        "subject": record.subject or "-",
    }
    if record.damage and record.is_json:
        said["damage"] = record.damage
    for name, value in said.items():
        screen.line(f"{name:<10} {value}")
    text = orjson.dumps(record.attributes, option=orjson.OPT_INDENT_2).decode()
    for line in text.split("\n"):
        screen.line(line)


def _of_group(group: Group) -> dict[str, object]:
    return {
        "count": group.count,
        "first": None if group.first is None else rfc3339(group.first),
        "last": None if group.last is None else rfc3339(group.last),
        "attempts": [group.least, group.most],
        "error": group.pattern,
        "example": group.example,
        "id": group.example_id,
        "types": group.types,
    }


def _attempts(group: Group) -> str:
    if group.least is None:
        return "-"
    return str(group.least) if group.least == group.most else f"{group.least}-{group.most}"
