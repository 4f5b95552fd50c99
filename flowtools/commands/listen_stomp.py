"""flow-listen-stomp: write the messages of a STOMP destination as event lines."""

from typing import TYPE_CHECKING, Any

import click

from flowtools.cli import listener_options, options
from flowtools.cli.binding import given_by, refuse
from flowtools.cli.command import Command, run_source

if TYPE_CHECKING:
    from flowtools.stomp.settings import Settings


@click.command("flow-listen-stomp", cls=Command)
@click.argument("url")
@click.option(
    "--browse",
    is_flag=True,
    help="Only look: write an event for each message in the queue, and end. No message is taken.",
)
@options.ack
@options.prefetch
@listener_options.durable
@listener_options.selector
@options.header
@options.count
@listener_options.idle
@options.dead_letter
@options.dead_letter_header
@options.max_deliveries
@options.drain
@options.broker_settings
@options.metrics
@click.pass_context
def main(
    ctx: click.Context,
    /,
    url: str,
    browse: bool,
    headers: tuple[str, ...],
    dead_letter_headers: tuple[str, ...],
    settings: "Settings",
    **chosen: Any,
) -> None:
    """Take the messages of the STOMP destination in URL, and write an event line for each.

    Messages are consumed (see --ack); to look at them without taking them, use --browse.
    URL is stomp://HOST:PORT/?destination=NAME, or stomp+ssl:// for TLS. Several hosts are
    separated by commas. The query may name a vhost; every other parameter becomes a header
    of the subscription.

    \b
    Examples:
      flow-listen-stomp --browse 'stomp://mq/?destination=/queue/jobs' |
          jq .data.body
      flow-listen-stomp --ack worker "$URL" | flow-work mymod:Job -j 16
      flow-listen-stomp --idle 5 "$URL.failed" >rejected.jsonl
    """
    from flowtools.stomp.settings import parse_headers
    from flowtools.stomp.url import parse_url

    given = given_by(ctx, chosen | {"dead_letter_headers": parse_headers(dead_letter_headers)})
    place, more = parse_url(url), parse_headers(headers)
    if browse:
        from flowtools.source.browse import Browse

        look = given.make(Browse, place, settings, headers=more)
        # `Browse` has taken from the options what a look can use; the rest has no effect.
        refuse(ctx, given.untaken(), "cannot be combined with --browse, which takes no messages")
        run_source(look, drain=0.0)
    else:
        from flowtools.source.stomp import GenericStompListener

        run_source(given.make(GenericStompListener, place, settings, headers=more))


if __name__ == "__main__":
    main()
