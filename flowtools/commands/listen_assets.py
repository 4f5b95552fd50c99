"""flow-listen-assets: write the changes of assets in Viz One as event lines."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import options
from flowtools.cli.command import Command, run_source

if TYPE_CHECKING:
    from flowtools.source.vizone.listening import Listening
    from flowtools.vizone.account import Account


@click.command("flow-listen-assets", cls=Command)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Ask first for all assets, the one changed longest ago first. With a state file: "
    "only if it is not there yet.",
)
@click.option(
    "--media",
    multiple=True,
    metavar="KIND",
    help="Only assets with this kind of media, such as video; may be repeated.",
)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    metavar="STATE",
    help="Only assets whose media is in this state, such as online; may be repeated.",
)
@click.option(
    "--resolve",
    is_flag=True,
    help="Ask Viz One about each change whose message does not say what happened.",
)
@click.option("--metadata", is_flag=True, help="Read the metadata of each asset, too.")
@options.xml
@options.vizone_account
@options.vizone_listening
@options.metrics
def main(
    media: tuple[str, ...],
    statuses: tuple[str, ...],
    resolve: bool,
    metadata: bool,
    xml: bool,
    account: "Account",
    listening: "Listening",
) -> None:
    """Write an event line for each asset that is created, updated or deleted in Viz One.

    Viz One is found over HTTP; it tells where it publishes changes over STOMP. The user
    needs the permission Asset/Admin.

    \b
    Examples:
      flow-listen-assets | flow-work mymod:Tag -j 16
      flow-listen-assets --state state --ack worker | flow-work mymod:Index
      flow-listen-assets --media video --status online --metadata | flow-work mymod:Push
      flow-listen-assets | jq -r '[.type, .data.title] | @tsv'
    """
    from flowtools.source.asset import AssetEntryListener
    from flowtools.source.vizone.details import Details

    details = Details(frozenset(media), frozenset(statuses), resolve, metadata, xml)
    run_source(AssetEntryListener(account, listening, details))


if __name__ == "__main__":
    main()
