"""flow-jq: filter and transform events with the jq language, without losing acknowledgements."""

import click

from flowtools.cli import options
from flowtools.cli.command import Command, standard_input, working


@click.command("flow-jq", cls=Command)
@click.argument("program", metavar="[PROGRAM]", required=False)
@click.option(
    "-f",
    "--from-file",
    metavar="FILE",
    type=options.PATH,
    help="Read the program from FILE.",
)
@click.option(
    "--arg",
    nargs=2,
    multiple=True,
    metavar="NAME TEXT",
    help="Set $NAME to TEXT in the program.",
)
@click.option(
    "--argjson",
    nargs=2,
    multiple=True,
    metavar="NAME JSON",
    help="Set $NAME to a JSON value in the program.",
)
@click.option(
    "--slurpfile",
    nargs=2,
    multiple=True,
    metavar="NAME FILE",
    help="Set $NAME to the array of the JSON lines in FILE.",
)
@options.max_line
@options.drain
@options.metrics
def main(
    program: str | None,
    from_file: str | None,
    arg: tuple[tuple[str, str], ...],
    argjson: tuple[tuple[str, str], ...],
    slurpfile: tuple[tuple[str, str], ...],
    max_line: int,
    drain: float,
) -> None:
    """Run the jq program PROGRAM on each event line, and write its outputs as event lines.

    An event that the program drops is acknowledged. Otherwise the event is done once all
    of its outputs are done by the commands that read them.

    \b
    Examples:
      flow-listen-assets --ack worker | flow-jq 'select(.data.title)' |
          flow-work mymod:Tag
      flow-listen-assets --ack worker | flow-jq -f mine.jq | flow-work mymod:Tag
    """
    import sys

    from flowtools.ack.branches import Branch, Branches
    from flowtools.ack.jq import Filter, Program, program_from, variables_from
    from flowtools.ack.relay import Relay
    from flowtools.ack.sender import AckSender
    from flowtools.core.lines import LineReader

    if (program is None) == (from_file is None):
        raise click.UsageError("give one program: PROGRAM, or --from-file FILE")
    text = program if program is not None else program_from(str(from_file))
    compiled = Program(text, variables_from(dict(arg), dict(argjson), dict(slurpfile)))
    sender = AckSender()
    with working() as stop:
        out = Branches([Branch(sys.stdout.fileno(), "standard output")], stop, drain)
        reader = LineReader(
            *(standard_input(), stop), wake=out.fileno(), max_line=max_line, tee=sender.see
        )
        Filter(compiled, Relay(sender, shows=True), out, max_line).run(reader, stop)


if __name__ == "__main__":
    main()
