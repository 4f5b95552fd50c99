"""flow-listen-assets: write the changes of assets in Viz One as event lines."""

from typing import TYPE_CHECKING

import click

from flowtools.cli import listener_options, options
from flowtools.cli.command import Command, run_source

if TYPE_CHECKING:
    from flowtools.source.vizone.listening import Listening
    from flowtools.vizone.account import Account


@click.command("flow-listen-assets", cls=Command)
@listener_options.everything
@listener_options.media
@listener_options.status
@listener_options.resolve
@listener_options.metadata
@listener_options.xml
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

    The command asks Viz One over HTTP where it publishes its changes, and listens there
    over STOMP. The user needs the permission Asset/Admin.

    \b
    Examples:
      flow-listen-assets | flow-work mymod:Tag -j 16
      flow-listen-assets --state state --ack worker | flow-work mymod:Index
      flow-listen-assets --media video --status online --metadata |
          flow-work mymod:Push
      flow-listen-assets | jq -r '[.type, .data.title] | @tsv'
    """
    from flowtools.source.asset import AssetEntryListener
    from flowtools.source.vizone.details import details_from

    details = details_from(media, statuses, resolve, metadata, xml)
    run_source(AssetEntryListener(account, listening, details))


if __name__ == "__main__":
    main()
