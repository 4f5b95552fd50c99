"""flow-source: run a Source class of the user's, and write its values as event lines."""

from pathlib import Path
from typing import Literal

import click

from flowtools.cli import options, pool_options
from flowtools.cli.command import Command, working


@click.command("flow-source", cls=Command)
@click.argument("source", metavar="MODULE:CLASS", shell_complete=options.classes)
@options.count
@options.ack
@options.prefetch
@options.drain
@options.grace
@pool_options.config
@pool_options.setting
@pool_options.worker_log_level
@options.metrics
@click.pass_context
def main(
    ctx: click.Context,
    /,
    source: str,
    count: int | None,
    ack: Literal["pipe", "worker"],
    prefetch: int,
    drain: float,
    grace: float,
    config: Path | None,
    settings: tuple[str, ...],
) -> None:
    """Write an event line for each value of the Source MODULE:CLASS.

    A Source is a class that can be iterated over, or that has a method `run(emit)` which
    calls `emit(value)`. MODULE is looked for in the current directory first.

    \b
    Examples:
      flow-source mymod:Shares | flow-work mymod:Store -j 4
      flow-source examples.sources.tail_file:TailFile --set tail.file=app.log |
          jq .data
    """
    from flowtools.source.custom import CustomSource
    from flowtools.source.loading import load_source
    from flowtools.source.onstdout import run_on_stdout
    from flowtools.worker.config import load
    from flowtools.worker.needs import make

    # Called by `run_on_stdout` once the prints of user code no longer reach stdout.
    def custom() -> CustomSource:
        made = make("Source", load_source(source), source, load(config, settings))
        return CustomSource(
            made, source, ack=ack, prefetch=prefetch, count=count, grace=grace, drain=drain
        )

    command = ctx.command
    assert isinstance(command, Command)
    run_on_stdout(custom, working, command.leave_threads)


if __name__ == "__main__":
    main()
