"""The options of the pool, which flow-work and flow-run share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flowtools.cli.command import parsed


def _key(text: str) -> Any:
    from flowtools.core.key import Key

    return Key.parse(text)


def _halt(text: str) -> Any:
    from flowtools.pool.halt import Halt

    return Halt.parse(text)


def _rate(text: str) -> Any:
    from flowtools.pool.rate import Rate

    return Rate.parse(text)


SECONDS = click.FloatRange(min=0)
FILE = click.Path(readable=False, path_type=Path)


threads = click.option(
    "-j",
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Events that run at the same time.",
)

timeout = click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that one attempt may take; 0: no limit.",
)

grace = click.option(
    "--grace",
    type=SECONDS,
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to end once the time is up; then the thread is abandoned and replaced.",
)

drain = click.option(
    "--drain",
    type=SECONDS,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that running events have after SIGTERM or SIGINT.",
)

max_abandoned = click.option(
    "--max-abandoned",
    type=click.IntRange(min=1),
    metavar="N",
    help="Abandoned threads at which to drain and end. Default: 32, or twice --threads.",
)

isolation = click.option(
    "--isolation",
    type=click.Choice(["thread", "process"]),
    default="thread",
    show_default=True,
    help="Run the Worker in threads, or each in a process that a time-out kills.",
)

retries = click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Further attempts for an event that failed.",
)

backoff = click.option(
    "--backoff",
    type=SECONDS,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait before the first retry; doubled for each one after.",
)

max_backoff = click.option(
    "--max-backoff",
    type=SECONDS,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait that no retry exceeds, but one that the Worker asks for.",
)

key = click.option(
    "--key",
    callback=parsed(_key),
    metavar="EXPR",
    help="Run events of one key in order, one at a time: an attribute such as subject, "
    "or a JSON Pointer into data.",
)

keep_order = click.option(
    "--keep-order", is_flag=True, help="Write results in the order of the input."
)

rate = click.option(
    "--rate",
    callback=parsed(_rate),
    metavar="N/s",
    help="Start no more than N events a second (/m: a minute, /h: an hour).",
)

halt = click.option(
    "--halt",
    callback=parsed(_halt),
    metavar="WHEN",
    help="End early: never (default), soon,fail=N, now,fail=N, soon,fail=P%, ...",
)

pass_on = click.option(
    "--pass",
    "pass_on",
    is_flag=True,
    help="Write each event on after success, with the duty to acknowledge it.",
)

joblog = click.option(
    "--joblog", type=FILE, metavar="FILE", help="Append a JSON line for each attempt."
)

resume = click.option("--resume", is_flag=True, help="Skip events that --joblog has as done.")

failed = click.option(
    "--failed",
    type=FILE,
    metavar="FILE",
    help="Append the line of each event that failed for good.",
)

config = click.option(
    "--config",
    type=FILE,
    metavar="FILE",
    help="INI file; its sections are the Worker's.",
)

setting = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="One setting for the Worker; over --config. May be repeated.",
)

max_line = click.option(
    "--max-line",
    type=click.IntRange(min=1),
    default=16 * 1024 * 1024,
    show_default=True,
    metavar="BYTES",
    help="Length of an input line above which it is a failed event.",
)

progress = click.option(
    "--progress", is_flag=True, help="Show progress on stderr; a summary at the end."
)

metrics = click.option("--metrics", metavar="HOST:PORT", help="Serve Prometheus metrics there.")

dry_run = click.option(
    "--dry-run", is_flag=True, help="Check the Worker and the lines; run nothing."
)

_ALL = (
    threads,
    timeout,
    grace,
    drain,
    max_abandoned,
    isolation,
    retries,
    backoff,
    max_backoff,
    key,
    keep_order,
    rate,
    halt,
    pass_on,
    joblog,
    resume,
    failed,
    config,
    setting,
    max_line,
    progress,
    metrics,
    dry_run,
)


def pool(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the pool; each comes by the name of a field of assembly.Choice."""
    for add in reversed(_ALL):
        function = add(function)
    return function


def check(chosen: dict[str, Any]) -> None:
    """See that the options go together.

    Raises:
        click.UsageError: They do not.
    """
    if chosen["resume"] and chosen["joblog"] is None:
        raise click.UsageError("--resume needs --joblog FILE")
