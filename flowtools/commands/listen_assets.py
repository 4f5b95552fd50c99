"""flow-listen-assets: write the changes of assets in Viz One as event lines."""

from typing import TYPE_CHECKING

import click

from flowtools import options
from flowtools.cli import Command, run_source

if TYPE_CHECKING:
    from flowtools.source.listening import Listening
    from flowtools.vizone.account import Account


@click.command("flow-listen-assets", cls=Command)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Ask first for all assets, the one changed longest ago first. With a state file: "
    "only if it is not there yet.",
)
@options.vizone_account
@options.vizone_listening
def main(account: "Account", listening: "Listening") -> None:
    """Write an event line for each asset that is created, updated or deleted in Viz One.

    Viz One is found over HTTP; it tells where it publishes changes over STOMP. The user
    needs the permission Asset/Admin.

    \b
    Examples:
      flow-listen-assets | flow-work mymod:Tag -j 16
      flow-listen-assets --exclude deleted --ack worker | flow-work mymod:Index
      flow-listen-assets | jq -r '[.type, .data.title] | @tsv'
    """
    from flowtools.source.asset import AssetEntryListener

    run_source(AssetEntryListener(account, listening))


if __name__ == "__main__":
    main()
