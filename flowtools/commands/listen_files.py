"""flow-listen-files: write the changes of files in an import storage as event lines."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import listener_options, options
from flowtools.cli.command import Command, run_source

if TYPE_CHECKING:
    from flowtools.source.vizone.listening import Listening
    from flowtools.vizone.account import Account


@click.command("flow-listen-files", cls=Command)
@click.argument("location")
@listener_options.skip_empty
@listener_options.settle()
@listener_options.existing()
@listener_options.xml
@options.vizone_account
@options.vizone_listening
@options.metrics
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
    gives several events, the first with size 0. With --settle it gives one, when it is whole.

    \b
    Examples:
      flow-listen-files xmlimport --settle 2 |
          flow-work examples.import_files:ImportFiles
      flow-listen-files xmlimport | jq -r '.data | [.name, .size] | @tsv'
    """
    from flowtools.source.location import UnmanagedFilesListener

    source = UnmanagedFilesListener(
        account, location, listening, skip_empty=skip_empty, settle=settle, xml=xml
    )
    run_source(source)


if __name__ == "__main__":
    main()
