"""flow-stdin: write an event for each line of standard input, or one for all of it."""

import click

from flowtools.cli import options
from flowtools.cli.binding import option
from flowtools.cli.command import Command, run_source
from flowtools.source.settings import Standard


@click.command("flow-stdin", cls=Command)
@click.option(
    "--null", is_flag=True, help="Lines end with a NUL byte, as find -print0 writes them."
)
@click.option("--json", is_flag=True, help="Each line is a JSON value, which becomes the data.")
@click.option("--document", is_flag=True, help="All of the input becomes one event.")
@options.max_line
@option(
    "--max-size",
    of=Standard,
    type=click.IntRange(min=1),
    metavar="BYTES",
    help="Maximum size of a document; a larger one is refused.",
)
@options.metrics
@options.drain
def main(
    null: bool, json: bool, document: bool, max_line: int, max_size: int, drain: float
) -> None:
    """Write an event line for each line of standard input.

    The event's data is the text of the line, without the newline. A line that is not UTF-8
    is carried as data_base64. The same input gives the same ids.

    \b
    Examples:
      flow-stdin < list.txt | flow-work mymod:Check -j 8
      find /media -name '*.mxf' -print0 | flow-stdin --null |
          flow-work mymod:Check
      flow-stdin --document < job.xml | flow-work mymod:Job
    """
    from flowtools.source.local import STDIN, Form

    chosen: list[Form] = []
    if null:
        chosen.append("null")
    if json:
        chosen.append("json")
    if document:
        chosen.append("document")
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    run_source(STDIN(*chosen, max_line=max_line, max_size=max_size), drain)


if __name__ == "__main__":
    main()
