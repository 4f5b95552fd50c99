"""flow-failed: look at events that failed for good, and replay or drop them."""

import sys
from pathlib import Path
from typing import Any

import click

from flowtools.cli import options
from flowtools.cli.command import Command, parsed, run_source


def _expression(text: str) -> Any:
    from flowtools.failed.selection import parse_expression

    return parse_expression(text)


def _moment(text: str) -> float:
    from flowtools.core.times import parse_moment

    return parse_moment(text)


def _confirm(number: int) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"--drop would remove {number} events: add --yes where nobody can be asked"
        )
    return click.confirm(f"remove {number} events for good?", err=True)


@click.command("flow-failed", cls=Command)
@click.argument("file", type=options.PATH)
@click.option("--list", "action", flag_value="list", help="Show a line for each event.")
@click.option("--show", metavar="ID", help="Show all that is known of the event with this id.")
@click.option(
    "--replay",
    "action",
    flag_value="replay",
    help="Write the events to standard output again. Each is taken out of the file once "
    "flow-work, flow-send or flow-ack behind the pipe has acknowledged it.",
)
@click.option("--drop", "action", flag_value="drop", help="Remove the events for good.")
@click.option(
    "--error",
    callback=parsed(_expression),
    metavar="REGEX",
    help="Select events whose error contains a match.",
)
@click.option("--type", metavar="PATTERN", help="Select by type: flow.asset.* for example.")
@click.option("--subject", metavar="PATTERN", help="Select by subject.")
@click.option(
    "--since",
    callback=parsed(_moment),
    metavar="TIME",
    help="Select what failed since then: a time, a day, or how long ago (2h, 7d).",
)
@click.option(
    "--until", callback=parsed(_moment), metavar="TIME", help="Select what failed before then."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Select the first N only.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines instead of a table.")
@click.option("--yes", is_flag=True, help="With --drop: do not ask.")
@options.prefetch
@options.drain
@options.metrics
def main(
    file: str,
    action: str | None,
    show: str | None,
    error: Any,
    type: str | None,
    subject: str | None,
    since: float | None,
    until: float | None,
    limit: int | None,
    as_json: bool,
    yes: bool,
    prefetch: int,
    drain: float,
) -> None:
    """Show why events failed: the events of FILE, which flow-work --failed wrote.

    Without an action a table has one row for each reason: how many events, from when to
    when, after how many attempts. Numbers and names in an error do not make another reason.

    \b
    Examples:
      flow-failed failed.jsonl
      flow-failed failed.jsonl --error 'not found' --list
      flow-failed failed.jsonl --since 12h --replay | flow-work mymod:Tag
    """
    from flowtools.failed import work
    from flowtools.failed.file import FailedLines
    from flowtools.failed.replay import Replay
    from flowtools.failed.selection import Selection

    if show is not None and action is not None:
        raise click.UsageError(f"--show and --{action} exclude each other")
    selection = Selection(error, type, subject, show, since, until, limit)
    lines = FailedLines(Path(file))
    if action == "replay":
        events = work.selected(lines.records(), selection)
        run_source(Replay(lines, events, prefetch=prefetch, drain=drain))
    elif action == "drop":
        work.drop(lines, selection, (lambda number: True) if yes else _confirm)
    else:
        from flowtools.failed.show import Look
        from flowtools.failed.show import show as show_events

        how = Look("whole" if show is not None else "list" if action else "summary", as_json)
        show_events(work.selected(lines.records(), selection), how)


if __name__ == "__main__":
    main()
