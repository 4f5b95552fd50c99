"""flow-listen-stomp: write the messages of a STOMP destination as event lines."""

from typing import TYPE_CHECKING, Literal

import click

from flowtools.cli import listener_options, options
from flowtools.cli.command import Command, run_source

if TYPE_CHECKING:
    from flowtools.stomp.settings import Settings


@click.command("flow-listen-stomp", cls=Command)
@click.argument("url")
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
def main(
    url: str,
    ack: Literal["pipe", "worker"],
    prefetch: int,
    durable: str | None,
    selector: str | None,
    headers: tuple[str, ...],
    count: int | None,
    idle: float | None,
    dead_letter: str | None,
    dead_letter_headers: tuple[str, ...],
    max_deliveries: int,
    drain: float,
    settings: "Settings",
) -> None:
    """Write the messages of the STOMP destination in URL, one event line each.

    URL is stomp://HOST:PORT/?destination=NAME, or stomp+ssl:// for TLS. Several hosts
    stand separated by commas. The query may name a vhost; every other parameter becomes
    a header of the subscription.

    \b
    Examples:
      flow-listen-stomp 'stomp://mq/?destination=/queue/jobs' | jq .data.body
      flow-listen-stomp --ack worker "$URL" | flow-work mymod:Job -j 16
      flow-listen-stomp --idle 5 "$URL.failed" >refused.jsonl
    """
    from flowtools.source.stomp import GenericStompListener
    from flowtools.stomp.settings import parse_headers
    from flowtools.stomp.url import parse_url

    source = GenericStompListener(
        parse_url(url),
        settings,
        ack=ack,
        prefetch=prefetch,
        durable=durable,
        selector=selector,
        headers=parse_headers(headers),
        count=count,
        idle=idle,
        dead_letter=dead_letter,
        dead_letter_headers=parse_headers(dead_letter_headers),
        max_deliveries=max_deliveries,
        drain=drain,
    )
    run_source(source)


if __name__ == "__main__":
    main()
