"""flow-interval: write a tick at a fixed interval, or on a cron expression."""

from typing import Any

import click

from flowtools.cli import options
from flowtools.cli.binding import Duration, Parsed
from flowtools.cli.command import Command, run_source


def _window(text: str) -> Any:
    from flowtools.source.daytime import Window

    return Window.parse(text)


def _zone(text: str) -> Any:
    from flowtools.source.daytime import zone

    return zone(text)


@click.command("flow-interval", cls=Command)
@click.argument("seconds", type=Duration(), required=False)
@click.option(
    "--cron",
    metavar="EXPRESSION",
    help="Tick at the times of a cron expression, instead of every SECONDS.",
)
@click.option(
    "--window",
    type=Parsed(_window),
    metavar="HH:MM-HH:MM",
    help="Tick only between these times of the day; either may be left out.",
)
@click.option(
    "--tz",
    type=Parsed(_zone),
    metavar="ZONE",
    help="Time zone of --cron and --window, such as Europe/Oslo. Default: the machine's.",
)
@options.count
@click.option(
    "--name",
    metavar="TEXT",
    help="Subject of the events. Default: the interval or the cron expression.",
)
@options.metrics
def main(
    seconds: float | None,
    cron: str | None,
    window: Any,
    tz: Any,
    count: int | None,
    name: str | None,
) -> None:
    """Write a tick at once and every SECONDS after, or on a cron expression.

    A tick is skipped while the previous one is still unread; the data of the next tick
    counts the skipped ones. With --window there is a tick each time the window opens.

    \b
    Examples:
      flow-interval 60 | flow-work mymod:Poll
      flow-interval 900 --window 22:00-04:00 --tz Europe/Oslo |
          flow-work mymod:Sweep
      flow-interval --cron '30 6 * * MON-FRI' --name morning |
          flow-work mymod:Report
    """
    from flowtools.source.interval import Interval

    source = Interval(seconds, cron=cron, window=window, tz=tz, count=count, name=name)
    run_source(source, drain=0.0)


if __name__ == "__main__":
    main()
