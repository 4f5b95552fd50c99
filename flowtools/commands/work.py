"""flow-work: run a Python class on each event, in a pool of threads with time-outs."""

from typing import Any

import click

from flowtools.cli import options, pool_options
from flowtools.cli.command import Command, standard_input
from flowtools.core.settings import Given


@click.command("flow-work", cls=Command)
@click.argument("worker", metavar="MODULE:CLASS", shell_complete=options.workers)
@pool_options.pool
@pool_options.no_ack
@click.pass_context
def main(ctx: click.Context, /, worker: str, **chosen: Any) -> None:
    """Run the Worker MODULE:CLASS on each event line of standard input.

    The values that its `start(event)` returns are written to standard output as lines.
    MODULE is looked for in the current directory first.

    \b
    Examples:
      flow-listen-assets | flow-work examples.tag:Tag -j 16
      flow-stdin < list | flow-work mymod:Check --retries 5 --failed failed.jsonl
      flow-work mymod:Check < failed.jsonl
    """
    from flowtools.pool.assembly import run
    from flowtools.pool.settings import Choice

    pool_options.check(chosen)
    command = ctx.command
    assert isinstance(command, Command)
    standard_input()  # For its warning. The pool reads descriptor 0 by itself.
    run(Given(chosen).make(Choice, worker=worker), command.leave_threads)


if __name__ == "__main__":
    main()
