"""flow-failed: show events that failed permanently, and replay or drop them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from flowtools.cli import options
from flowtools.cli.binding import Duration, Parsed, option, refuse
from flowtools.cli.command import Command, run_source, working
from flowtools.stomp.settings import Looking

if TYPE_CHECKING:
    from flowtools.core.wait import Stop
    from flowtools.failed.store import Store
    from flowtools.stomp.settings import Settings


_OF_A_QUEUE = (
    *("idle", "headers", "user", "password_file", "ca_file", "insecure", "client_certificate"),
    *("client_key", "heart_beat", "connect_timeout", "retry_for"),
)
"""Options that apply only to a queue."""


def _expression(text: str) -> Any:
    from flowtools.failed.selection import parse_expression

    return parse_expression(text)


def _moment(text: str) -> float:
    from flowtools.core.times import parse_moment

    return parse_moment(text)


def _confirm(number: int, stop: "Stop") -> bool:
    from flowtools.core.text import counted
    from flowtools.core.wait import wait

    events = counted(number, "event")
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"--drop would remove {events}: add --yes to confirm without a terminal"
        )
    click.echo(f"remove {events} permanently? [y/N]: ", nl=False, err=True)
    # click.confirm would not end at a signal. A stop has to end the question, so that a queue gets
    # its messages back.
    wait(sys.stdin, stop)
    return not stop.is_set() and sys.stdin.readline().strip().lower() in ("y", "yes")


def _is_url(place: str) -> bool:
    return place.lower().startswith(("stomp://", "stomp+ssl://"))


def _store(place: str, settings: "Settings", headers: tuple[str, ...], **more: Any) -> "Store":
    """Return the file or queue of failed events; `more` is passed to `FailedQueue`."""
    if _is_url(place):
        from flowtools.failed.queue import FailedQueue
        from flowtools.stomp.settings import parse_headers
        from flowtools.stomp.url import parse_url

        return FailedQueue(parse_url(place), settings, headers=parse_headers(headers), **more)
    from pathlib import Path

    from flowtools.failed.file import FailedLines

    return FailedLines(Path(place))


@contextmanager
def _stopping(place: str) -> "Iterator[Stop]":
    """Yield a flag that a signal sets, so that a queue gets its messages back.

    For a file nothing sets it: a signal ends the command, and leaves the old file or the new one.
    """
    from flowtools.core.wait import Stop

    if _is_url(place):
        with working() as stop:
            yield stop
    else:
        stop = Stop()
        yield stop
        stop.close()


@click.command("flow-failed", cls=Command)
@click.argument("place", type=options.PATH, metavar="FILE|URL")
@click.option("--list", "action", flag_value="list", help="Show a line for each event.")
@click.option(
    "--show", metavar="ID", help="Show everything that is known of the event with this id."
)
@click.option(
    "--replay",
    "action",
    flag_value="replay",
    help="Write the events to standard output again. Each is removed from the file or queue once "
    "flow-work, flow-send or flow-ack at the end of the pipe has acknowledged it.",
)
@click.option("--drop", "action", flag_value="drop", help="Remove the events permanently.")
@click.option(
    "--error",
    type=Parsed(_expression),
    metavar="REGEX",
    help="Select events whose error contains a match.",
)
@click.option("--type", metavar="PATTERN", help="Select by type: flow.asset.* for example.")
@click.option("--subject", metavar="PATTERN", help="Select by subject.")
@click.option(
    "--since",
    type=Parsed(_moment),
    metavar="TIME",
    help="Select events that failed since a time, a day, or a duration ago (2h, 7d).",
)
@click.option(
    "--until",
    type=Parsed(_moment),
    metavar="TIME",
    help="Select events that failed before this time.",
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Select only the first N events."
)
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines instead of a table.")
@click.option("--yes", is_flag=True, help="With --drop: do not ask.")
@option(
    "--idle",
    of=Looking,
    type=Duration(min=0, min_open=True),
    help="How long to wait for another message before a queue counts as read to its end, if the "
    "broker does not signal that.",
)
@options.header
@options.prefetch
@options.drain
@options.broker_settings
@options.metrics
@click.pass_context
def main(
    ctx: click.Context,
    /,
    place: str,
    action: str | None,
    as_json: bool,
    yes: bool,
    prefetch: int,
    drain: float,
    headers: tuple[str, ...],
    idle: float,
    settings: "Settings",
    **chosen: Any,
) -> None:
    """Show why the events in FILE or in the dead-letter queue at URL failed.

    FILE was written by flow-work --failed. The messages of a queue stay where they are.
    Without an action, a table has one row for each reason: the number of events, when they
    failed, and their attempts. Errors that differ only in numbers and names are one reason.

    \b
    Examples:
      flow-failed failed.jsonl
      flow-failed 'stomp://mq/?destination=/queue/jobs.failed'
      flow-failed failed.jsonl --error 'not found' --list
      flow-failed failed.jsonl --since 12h --replay | flow-work mymod:Tag
    """
    from flowtools.failed.selection import Selection

    show = chosen["show"]
    if show is not None and action is not None:
        raise click.UsageError(f"--show and --{action} exclude each other")
    selection = Selection(id=chosen.pop("show"), **chosen)
    if not _is_url(place):
        refuse(ctx, _OF_A_QUEUE, f"is for a queue; '{place}' is a file")
    # Only then are messages of a queue acknowledged. Otherwise it is browsed, if the broker can.
    take = action in ("replay", "drop")
    store = _store(place, settings, headers, idle=idle, take=take)
    if action == "replay":
        from flowtools.failed.replay import Replay

        run_source(Replay(store, selection, prefetch=prefetch, drain=drain))
        return
    from flowtools.failed import work
    from flowtools.failed.show import Look
    from flowtools.failed.show import show as show_events

    with _stopping(place) as stop, store.opened(stop, most=selection.most) as failed:
        if failed is not None and action == "drop":
            work.drop(failed, selection, (lambda n: True) if yes else (lambda n: _confirm(n, stop)))
        elif failed is not None:
            look = Look("whole" if show is not None else "list" if action else "summary", as_json)
            show_events(selection.select(failed.records()), look)


if __name__ == "__main__":
    main()
