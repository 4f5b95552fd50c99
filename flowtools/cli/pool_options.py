"""The options of the pool, shared by flow-work and flow-run.

The values are fields of `Choice`, and of `Settings` and `RetryPolicy` inside it
(pool/settings.py), by their names. What only one of the two commands has is in its own module.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from flowtools.cli import options
from flowtools.cli.binding import Duration, FiniteRange, Parsed, option
from flowtools.cli.command import keep
from flowtools.pool.settings import BATCH, LINGER, Choice, RetryPolicy, Settings


def _key(text: str) -> Any:
    from flowtools.core.key import Key, WatchedKey

    return WatchedKey(Key.parse(text), "--key").of


def _width(text: str) -> int:
    from flowtools.pool.width import width

    return width(text)


def _halt(text: str) -> Any:
    from flowtools.pool.limits import Halt

    return Halt.parse(text)


def _rate(text: str) -> Any:
    from flowtools.pool.limits import Rate

    return Rate.parse(text)


def _key_rate(text: str) -> Any:
    from flowtools.pool.limits import KeyRate

    return KeyRate.parse(text)


def _duration(text: str) -> float:
    from flowtools.core.times import parse_duration

    return parse_duration(text)


SECONDS = Duration(min=0)
FILE = click.Path(readable=False, path_type=Path)


threads = option(
    "-j",
    "--threads",
    of=Settings,
    type=Parsed(_width),
    metavar="N",
    help="Number of events that run at the same time. It may be relative to the number of CPUs: "
    "100%, 50%, +2, -1.",
)

timeout = option(
    "--timeout",
    of=Settings,
    type=SECONDS,
    help="Maximum time of one attempt; 0: no limit.",
)

max_abandoned = option(
    "--max-abandoned",
    of=Settings,
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of abandoned threads at which to drain and end. Default: 32, or twice --threads.",
)

batch = option(
    "--batch",
    of=Settings,
    type=click.IntRange(min=1),
    metavar="N",
    help="Maximum number of events that a Worker with start_many(events) gets at once. "
    f"Default: {BATCH}.",
)

linger = option(
    "--linger",
    of=Settings,
    type=SECONDS,
    help=f"How long a batch waits for more events after its first one. Default: {LINGER:g}.",
)

isolation = option(
    "--isolation",
    of=Choice,
    type=click.Choice(["thread", "process"]),
    help="Run the Worker in threads of one process, or give each thread a process of its own. A "
    "time-out can kill such a process, and its crash does not harm the others.",
)

recycle = option(
    "--recycle",
    of=Choice,
    type=click.IntRange(min=1),
    metavar="N",
    help="With --isolation process: replace each process after N events.",
)

recycle_memory = option(
    "--recycle-memory",
    of=Choice,
    type=FiniteRange(min=1),
    metavar="MIB",
    help="With --isolation process: replace a process that uses more than MIB of memory.",
)

retries = option(
    "--retries",
    of=RetryPolicy,
    type=click.IntRange(min=0),
    metavar="N",
    help="Number of further attempts for an event that failed.",
)

backoff = option(
    "--backoff",
    of=RetryPolicy,
    type=SECONDS,
    help="Wait before the first retry; it doubles with each further retry.",
)

max_backoff = option(
    "--max-backoff",
    of=RetryPolicy,
    type=SECONDS,
    help="Upper limit of the wait before a retry; does not apply to Retry(after=...).",
)

retry_until = option(
    "--retry-until",
    of=RetryPolicy,
    type=Parsed(_duration),
    metavar="AGE",
    help="Retry until an event has reached this age (90s, 2h, 1h30m), instead of --retries.",
)

pause_on = option(
    "--pause-on",
    of=Choice,
    multiple=True,
    metavar="MODULE:CLASS",
    help="Exception of the Worker that pauses the pool, as Unavailable does. May be repeated.",
)

key = option(
    "--key",
    of=Settings,
    type=Parsed(_key),
    metavar="EXPR",
    help="Run events with the same key in order, one at a time. EXPR is an attribute such as "
    "subject, or a JSON Pointer into the data such as /asset/id.",
)

per_key = option(
    "--per-key",
    of=Settings,
    type=click.IntRange(min=1),
    metavar="N",
    help="With --key: number of events of one key that may run at the same time.",
)

key_rate = option(
    "--key-rate",
    of=Settings,
    type=Parsed(_key_rate),
    metavar="N/s",
    help="With --key: start no more than N events of one key a second (/m, /h).",
)

keep_order = option(
    "--keep-order", of=Choice, is_flag=True, help="Write results in the order of the input."
)

rate = option(
    "--rate",
    "pace",
    of=Settings,
    type=Parsed(_rate),
    metavar="N/s",
    help="Start no more than N events a second (/m: a minute, /h: an hour).",
)

halt = option(
    "--halt",
    of=Settings,
    type=Parsed(_halt),
    metavar="WHEN",
    help="End early: never (default), soon,fail=N, now,fail=N, soon,fail=P%, ...",
)

pass_on = option(
    "--pass",
    "pass_on",
    of=Settings,
    is_flag=True,
    help="Forward each event after success, with the duty to acknowledge it.",
)

relay = option(
    "--relay",
    of=Settings,
    is_flag=True,
    help="Hand the duty to acknowledge each event on to its results, if it has any.",
)

no_ack = option(
    "--no-ack",
    of=Choice,
    is_flag=True,
    help="Acknowledge nothing, because another command settles these lines.",
)

joblog = option(
    "--joblog", of=Choice, type=FILE, metavar="FILE", help="Append a JSON line for each attempt."
)

resume = option(
    "--resume", of=Choice, is_flag=True, help="Skip events that are done according to --joblog."
)

once = option(
    "--once",
    of=Choice,
    type=FILE,
    metavar="FILE",
    help="Skip events that are done according to FILE, by source and id; record in it those that "
    "become done.",
)

once_age = option(
    "--once-age",
    of=Choice,
    type=Duration(min=0, min_open=True),
    help="How long --once keeps an id (by default seven days).",
)

failed = option(
    "--failed",
    of=Choice,
    type=FILE,
    metavar="FILE",
    help="Append the line of each event that failed permanently.",
)

config = option(
    "--config",
    of=Choice,
    type=FILE,
    metavar="FILE",
    help="INI file with the settings of the Worker or Source.",
)

setting = option(
    "--set",
    "settings",
    of=Choice,
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="One setting of the Worker or Source; overrides --config. May be repeated.",
)

progress = option(
    "--progress", of=Choice, is_flag=True, help="Show progress on stderr, and a summary at the end."
)

metrics = option("--metrics", of=Choice, **options.METRICS)

dry_run = option(
    "--dry-run", of=Choice, is_flag=True, help="Check the Worker and the lines, but run nothing."
)

worker_log_level = click.option(
    "--worker-log-level",
    type=click.Choice(["debug", "info", "warning", "error", "critical"]),
    expose_value=False,
    callback=keep,
    help="Of what the Worker or Source writes with `logging`, show messages of this level and "
    "above. Default: follows -v and -q.",
)

_ALL = (
    threads,
    timeout,
    options.grace,
    options.drain,
    max_abandoned,
    batch,
    linger,
    isolation,
    recycle,
    recycle_memory,
    retries,
    backoff,
    max_backoff,
    retry_until,
    pause_on,
    key,
    per_key,
    key_rate,
    keep_order,
    rate,
    halt,
    pass_on,
    relay,
    joblog,
    resume,
    once,
    once_age,
    failed,
    config,
    setting,
    options.max_line,
    progress,
    metrics,
    dry_run,
    worker_log_level,
)


def pool(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the pool to a command; their values are the fields of Choice."""
    # --help lists the decorator that was applied last first.
    for add in reversed(_ALL):
        function = add(function)
    return function


def check(chosen: dict[str, Any]) -> None:
    """Check that the options can be combined.

    Raises:
        click.UsageError: Two options exclude each other, or one needs another.
    """
    if chosen["resume"] and chosen["joblog"] is None:
        raise click.UsageError("--resume needs --joblog FILE")
    for name, option_name in (("recycle", "--recycle"), ("recycle_memory", "--recycle-memory")):
        if chosen["isolation"] != "process" and chosen[name] is not None:
            raise click.UsageError(
                f"{option_name} needs --isolation process: threads share one process, which cannot"
                " be replaced while it runs"
            )
    for name, option_name in (("per_key", "--per-key"), ("key_rate", "--key-rate")):
        # 1 is the default of --per-key.
        if chosen["key"] is None and chosen[name] not in (None, 1):
            raise click.UsageError(f"{option_name} needs --key EXPR")
    if chosen["retries"] and chosen["retry_until"] is not None:
        raise click.UsageError("--retries and --retry-until exclude each other")
    if chosen["pass_on"] and chosen["relay"]:
        raise click.UsageError(
            "--pass and --relay exclude each other: either the event goes on, with the duty to"
            " acknowledge it, or its results do"
        )
    # flow-run has no --no-ack: it always acknowledges to its own source.
    if chosen.get("no_ack") and (chosen["pass_on"] or chosen["relay"]):
        raise click.UsageError(
            "--no-ack and --pass or --relay exclude each other: with --pass and --relay the next"
            " command acknowledges"
        )
