"""flow-view: show the events in a pipe as a live table."""

from typing import Any, Literal

import click

from flowtools.cli import options
from flowtools.cli.binding import Parsed, option
from flowtools.cli.command import Command, standard_input
from flowtools.view.settings import Choice


def _fields(text: str) -> Any:
    from flowtools.view.columns import Columns

    return Columns.parse(text)


@click.command("flow-view", cls=Command)
@click.option(
    "--fields",
    type=Parsed(_fields),
    show_default="time,type,subject,title, and age in the table",
    metavar="NAME,...",
    help="What to show of each event: title, age, an attribute such as id, or a JSON "
    "Pointer into the data such as /size.",
)
@option(
    "--search",
    of=Choice,
    metavar="TEXT",
    help="Show only events with TEXT, in upper or lower case. In the table the key / changes it.",
)
@click.option(
    "--follow",
    is_flag=True,
    help="Print one line for each event, instead of the table on a terminal.",
)
@click.option(
    "--tee",
    is_flag=True,
    help="Pass every line on to standard output, unchanged, and show events on standard error.",
)
@click.option(
    "--hold", is_flag=True, help="Keep the table after the end of the input, until q is pressed."
)
@option(
    "--color",
    of=Choice,
    type=click.Choice(["auto", "always", "never"]),
    help="Whether to use colours; auto: on a terminal, unless NO_COLOR is set.",
)
@options.max_line
def main(
    fields: Any,
    search: str,
    follow: bool,
    tee: bool,
    hold: bool,
    color: Literal["auto", "always", "never"],
    max_line: int,
) -> None:
    """Show the event lines on standard input: as a live table on a terminal, else as text.

    The table has the last events, the number of events of each type, and their rate.
    Control characters in the data never reach the terminal.

    \b
    Examples:
      flow-listen-assets | flow-view
      flow-listen-assets | flow-view --tee | flow-work mymod:Tag
      flow-view --fields age,subject,/size --follow < events.jsonl
    """
    from flowtools.view.assembly import run

    standard_input()  # For its warning. The viewer reads descriptor 0 by itself.
    chosen = Choice(
        fields=fields,
        follow=follow,
        tee=tee,
        hold=hold,
        search=search,
        color=color,
        max_line=max_line,
    )
    run(chosen)


if __name__ == "__main__":
    main()
