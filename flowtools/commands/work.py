"""flow-work: run a Python class on each event, in a pool of threads with time-outs."""

from pathlib import Path
from typing import Any

import click

from flowtools.cli import Command, parsed


def _key(text: str) -> Any:
    from flowtools.key import Key

    return Key.parse(text)


def _halt(text: str) -> Any:
    from flowtools.halt import Halt

    return Halt.parse(text)


def _rate(text: str) -> Any:
    from flowtools.rate import Rate

    return Rate.parse(text)


SECONDS = click.FloatRange(min=0)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("flow-work", cls=Command)
@click.argument("worker", metavar="MODULE:CLASS")
@click.option(
    "-j",
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Events that run at the same time.",
)
@click.option(
    "--timeout",
    type=SECONDS,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that one attempt may take; 0: no limit.",
)
@click.option(
    "--grace",
    type=SECONDS,
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Time to end once the time is up; then the thread is abandoned and replaced.",
)
@click.option(
    "--drain",
    type=SECONDS,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time that running events have after SIGTERM or SIGINT.",
)
@click.option(
    "--max-abandoned",
    type=click.IntRange(min=1),
    metavar="N",
    help="Abandoned threads at which to drain and end. Default: 32, or twice --threads.",
)
@click.option(
    "--isolation",
    type=click.Choice(["thread", "process"]),
    default="thread",
    show_default=True,
    help="Run the Worker in threads, or each in a process that a time-out kills.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Further attempts for an event that failed.",
)
@click.option(
    "--backoff",
    type=SECONDS,
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait before the first retry; doubled for each one after.",
)
@click.option(
    "--max-backoff",
    type=SECONDS,
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait that no retry exceeds.",
)
@click.option(
    "--key",
    callback=parsed(_key),
    metavar="EXPR",
    help="Run events of one key in order, one at a time: an attribute such as subject, "
    "or a JSON Pointer into data.",
)
@click.option("--keep-order", is_flag=True, help="Write results in the order of the input.")
@click.option(
    "--rate",
    callback=parsed(_rate),
    metavar="N/s",
    help="Start no more than N events a second (/m: a minute, /h: an hour).",
)
@click.option(
    "--halt",
    callback=parsed(_halt),
    metavar="WHEN",
    help="End early: never (default), soon,fail=N, now,fail=N, soon,fail=P%, ...",
)
@click.option(
    "--pass",
    "pass_on",
    is_flag=True,
    help="Write each event on after success, with the duty to acknowledge it.",
)
@click.option("--joblog", type=FILE, metavar="FILE", help="Append a JSON line for each attempt.")
@click.option("--resume", is_flag=True, help="Skip events that --joblog has as done.")
@click.option(
    "--failed",
    type=FILE,
    metavar="FILE",
    help="Append the line of each event that failed for good.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="INI file; its sections are the Worker's.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="One setting for the Worker; over --config. May be repeated.",
)
@click.option(
    "--max-line",
    type=click.IntRange(min=1),
    default=16 * 1024 * 1024,
    show_default=True,
    metavar="BYTES",
    help="Length of an input line above which it is a failed event.",
)
@click.option("--progress", is_flag=True, help="Show progress on stderr; a summary at the end.")
@click.option("--metrics", metavar="HOST:PORT", help="Serve Prometheus metrics there.")
@click.option("--dry-run", is_flag=True, help="Check the Worker and the lines; run nothing.")
@click.pass_context
def main(ctx: click.Context, /, worker: str, **chosen: Any) -> None:
    """Run the Worker MODULE:CLASS on each event line of standard input.

    What its `start(event)` returns goes to standard output as lines. MODULE is looked
    for in the current directory, too.

    \b
    Examples:
      flow-listen-assets | flow-work examples.tag:Tag -j 16
      flow-stdin < list | flow-work mymod:Check --retries 5 --failed failed.jsonl
      flow-work mymod:Check < failed.jsonl
    """
    from flowtools.assembly import Choice, run

    if chosen["resume"] and chosen["joblog"] is None:
        raise click.UsageError("--resume needs --joblog FILE")
    command = ctx.command
    assert isinstance(command, Command)
    run(Choice(worker=worker, **chosen), command.leave_threads)


if __name__ == "__main__":
    main()
