"""flow-joblog: sum up a job log of flow-work."""

from pathlib import Path

import click

from flowtools.cli import options
from flowtools.cli.command import Command


@click.command("flow-joblog", cls=Command)
@click.argument("file", type=options.PATH)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object instead of tables.")
def main(file: str, as_json: bool) -> None:
    """Sum up FILE, which flow-work --joblog wrote: outcomes, durations, rates, slowest events.

    \b
    Examples:
      flow-joblog joblog.jsonl
      flow-joblog --json joblog.jsonl | jq .ran.p99
    """
    from flowtools.joblog.show import show
    from flowtools.joblog.summary import summarize

    show(summarize(Path(file)), as_json=as_json)


if __name__ == "__main__":
    main()
