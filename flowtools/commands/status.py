"""flow-status: show the flowtools commands that run on this host."""

import sys

import click

from flowtools.cli.binding import Duration
from flowtools.cli.command import Command


@click.command("flow-status", cls=Command)
@click.option(
    "--check",
    is_flag=True,
    help="Print a line for each command in trouble. The exit status is 1 if there is one, or if "
    "no command runs.",
)
@click.option(
    "--max-lag",
    type=Duration(min=0),
    help="A command is also in trouble if one of its events in flight is older than this. "
    "Default: no limit.",
)
@click.option(
    "--max-silence",
    type=Duration(min=0),
    help="A command is also in trouble if no event has come for SECONDS. Default: no limit.",
)
@click.option("--once", is_flag=True, help="On a terminal: print the table once, and end.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON lines instead of a table.")
def main(
    check: bool, max_lag: float | None, max_silence: float | None, once: bool, as_json: bool
) -> None:
    """Show what the flowtools commands on this host are doing.

    On a terminal the table is drawn again every two seconds; elsewhere it is printed once.
    No setup is needed: every long-running command can be asked.

    \b
    Examples:
      flow-status
      flow-status --check --max-lag 5m --max-silence 1h
      flow-status --json | jq -r 'select(.trouble | length > 0) | .pipeline'
    """
    from flowtools.process.signals import stopped_by_signals
    from flowtools.status import show
    from flowtools.status.asking import running
    from flowtools.status.check import Limits

    limits = Limits(max_lag, max_silence)
    if check:
        show.check(running(), limits)
    elif as_json or once or not sys.stdout.isatty():
        show.show(running(), limits, as_json=as_json)
    else:
        # Not `working`: flow-status would list itself.
        with stopped_by_signals() as stop:
            show.watch(running, limits, stop)


if __name__ == "__main__":
    main()
