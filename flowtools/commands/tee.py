"""flow-tee: copy event lines; an event is done once every branch has done it."""

import click

from flowtools.cli import options
from flowtools.cli.command import Command, standard_input, working


@click.command("flow-tee", cls=Command)
@click.argument("files", metavar="FILE...", type=options.PATH, nargs=-1, required=True)
@click.option("-a", "--append", is_flag=True, help="Append to files instead of overwriting them.")
@click.option(
    "--tolerate",
    is_flag=True,
    help="Continue without a branch whose reader has gone. Default: end with an error.",
)
@options.max_line
@options.drain
@options.metrics
def main(files: tuple[str, ...], append: bool, tolerate: bool, max_line: int, drain: float) -> None:
    """Copy event lines to standard output and to each FILE, as tee(1) does.

    Each pipe is a branch whose reader acknowledges its own copies. An event is acknowledged
    to its source once every branch has acknowledged it. A plain file gets the lines without
    `ackto`, so nothing in it has to be acknowledged.

    \b
    Examples:
      flow-listen-assets --ack worker |
          flow-tee >(flow-work a:Index) | flow-work b:Copy
      flow-listen-assets --ack worker | flow-tee -a seen.jsonl | flow-work b:Copy
    """
    import sys

    from flowtools.ack.branches import Branches, open_branch
    from flowtools.ack.relay import Relay
    from flowtools.ack.sender import AckSender
    from flowtools.ack.tee import Tee, stdout_branch
    from flowtools.core.lines import LineReader

    sender = AckSender()
    with working() as stop:
        opened = [open_branch(path, stop, append=append) for path in files]
        # None: a stop has ended the wait for the reader of a named pipe.
        named = [each for each in opened if each is not None]
        branches = Branches([*named, stdout_branch(sys.stdout.fileno())], stop, drain)
        reader = LineReader(
            *(standard_input(), stop),
            wake=branches.fileno(),
            max_line=max_line,
            tee=sender.see,
        )
        Tee(Relay(sender, shows=True), branches, tolerate=tolerate).run(reader, stop)


if __name__ == "__main__":
    main()
