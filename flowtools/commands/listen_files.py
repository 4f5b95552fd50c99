"""flow-listen-files: write the changes of files in an import storage as event lines."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import options
from flowtools.cli.binding import option
from flowtools.cli.command import Command, run_source
from flowtools.source.settings import Importing

if TYPE_CHECKING:
    from flowtools.source.vizone.listening import Listening
    from flowtools.vizone.account import Account


@click.command("flow-listen-files", cls=Command)
@click.argument("location")
@click.option("--skip-empty", is_flag=True, help="Say nothing of a file while its size is 0.")
@option(
    "--settle",
    of=Importing,
    type=click.FloatRange(min=0),
    show_default=False,
    metavar="SECONDS",
    help="Tell of a file once its size has been still for so long. Default: at once.",
)
@click.option(
    "--existing",
    "everything",
    is_flag=True,
    help="Ask first for the files that are there already. With a state file: only if it is "
    "not there yet.",
)
@options.xml
@options.vizone_account
@options.vizone_listening
def main(
    location: str,
    skip_empty: bool,
    settle: float,
    xml: bool,
    account: "Account",
    listening: "Listening",
) -> None:
    """Write an event line for each unmanaged file that changes in LOCATION.

    LOCATION is the handle of an import storage of Viz One. A file that is being written
    comes several times, first with size 0, unless --settle waits for its end.

    \b
    Examples:
      flow-listen-files xmlimport --settle 2 | flow-work examples.import_files:ImportFiles
      flow-listen-files xmlimport | jq -r '.data | [.name, .size] | @tsv'
    """
    from flowtools.source.location import UnmanagedFilesListener

    source = UnmanagedFilesListener(
        account, location, listening, skip_empty=skip_empty, settle=settle, xml=xml
    )
    run_source(source)


if __name__ == "__main__":
    main()
